import { forUser } from '@/lib/route';
import { sign } from '@/lib/session';

// What the browser shows to pg_rooms; the cookie itself stays out of reach of scripts.
export const GET = () => forUser(async (_sql, session) => ({ token: await sign(session, '1h') }));
