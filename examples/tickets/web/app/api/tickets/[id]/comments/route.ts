import { HttpError, forUser } from '@/lib/route';

export async function POST(request: Request, { params }: { params: Promise<{ id: string }> }) {
  const { id } = await params;
  const { body } = await request.json();
  return forUser(async (sql) => {
    if (!String(body ?? '').trim()) throw new HttpError(400, 'A comment needs a text');
    const [comment] = await sql('INSERT INTO comment (ticket_id, body) SELECT id, $2 FROM ticket WHERE id::text = $1 RETURNING *',
      [id, String(body).trim()]);
    if (!comment) throw new HttpError(404, 'There is no such ticket');
    return comment;
  });
}
