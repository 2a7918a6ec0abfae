import { HttpError, forUser } from '@/lib/route';

interface Context { params: Promise<{ id: string }> }

export async function GET(_request: Request, { params }: Context) {
  const { id } = await params;
  return forUser(async (sql) => {
    const [ticket] = await sql('SELECT * FROM ticket WHERE id::text = $1', [id]);
    if (!ticket) throw new HttpError(404, 'There is no such ticket');
    return { ticket, comments: await sql('SELECT * FROM comment WHERE ticket_id = $1 ORDER BY id', [ticket.id]) };
  });
}

export async function PATCH(request: Request, { params }: Context) {
  const { id } = await params;
  const { status, assignee } = await request.json();
  return forUser(async (sql) => {
    const [ticket] = await sql(`UPDATE ticket SET status = coalesce($2, status), assignee = CASE WHEN $3 THEN $4 ELSE assignee END
      WHERE id::text = $1 RETURNING *`, [id, status ?? null, assignee !== undefined, assignee || null]);
    if (!ticket) throw new HttpError(404, 'There is no such ticket');
    return ticket;
  });
}
