import { HttpError, forUser } from '@/lib/route';

export const GET = () => forUser((sql) => sql('SELECT id, title, version, updated_by, updated_at FROM document ORDER BY id'));

export async function POST(request: Request) {
  const { title } = await request.json();
  return forUser(async (sql) => {
    if (!String(title ?? '').trim()) throw new HttpError(400, 'A document needs a title');
    const [doc] = await sql('INSERT INTO document (title) VALUES ($1) RETURNING *', [String(title).trim()]);
    return doc;
  });
}
