import { HttpError, forUser } from '@/lib/route';
import type { Ticket } from '@/lib/types';

export const GET = () => forUser((sql) => sql<Ticket & Record<string, unknown>>('SELECT * FROM ticket ORDER BY id DESC LIMIT 200'));

// Plain SQL: that browsers hear of it is the trigger's affair.
export async function POST(request: Request) {
  const { title, body, assignee } = await request.json();
  return forUser(async (sql) => {
    if (!String(title ?? '').trim()) throw new HttpError(400, 'A ticket needs a title');
    const [ticket] = await sql('INSERT INTO ticket (title, body, assignee) VALUES ($1, $2, $3) RETURNING *',
      [String(title).trim(), String(body ?? ''), assignee || null]);
    return ticket;
  });
}
