import { HttpError, forUser } from '@/lib/route';

export async function GET(_request: Request, { params }: { params: Promise<{ id: string }> }) {
  const { id } = await params;
  return forUser(async (sql) => {
    const [doc] = await sql('SELECT * FROM document WHERE id::text = $1', [id]);
    if (!doc) throw new HttpError(404, 'There is no such document');
    return doc;
  });
}
