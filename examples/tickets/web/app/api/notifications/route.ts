import { forUser } from '@/lib/route';

export const GET = () => forUser((sql) => sql(`
  SELECT id, title, message, read, created_at AS "createdAt", ticket_id AS "ticketId"
  FROM notification ORDER BY id DESC LIMIT 50`));

// All read: the trigger tells every device.
export const POST = () => forUser(async (sql) => {
  await sql('UPDATE notification SET read = true WHERE NOT read');
});
