// PostgreSQL, for API routes and server components.  PGHOST, PGUSER and so on say which.
import { Pool, types, type QueryResultRow } from 'pg';
import type { Session } from './session';

types.setTypeParser(types.builtins.INT8, Number);

const globals = globalThis as unknown as { pool?: Pool };
export const pool = (globals.pool ??= new Pool({ max: 5 }));

export type Sql = <R extends QueryResultRow>(text: string, values?: unknown[]) => Promise<R[]>;

/** Somebody whose rights were taken away since they signed in. */
export class Blocked extends Error {}

/** Runs `work` in one transaction with the rights of a person: row-level security does the rest. */
export async function asUser<T>(session: Session, work: (sql: Sql) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  try {
    await client.query('BEGIN');
    await client.query("SELECT set_config('role', 'tickets_user', true), set_config('request.jwt.claims', $1, true)",
      [JSON.stringify({ sub: session.sub, tenant_id: session.tenant_id })]);
    const { rows } = await client.query('SELECT FROM app_user WHERE id = me() AND NOT blocked');
    if (rows.length === 0) throw new Blocked('Your account is blocked');
    const result = await work(async (text, values) => (await client.query(text, values)).rows);
    await client.query('COMMIT');
    client.release();
    return result;
  } catch (error) {
    // A connection that cannot even roll back is thrown away.
    await client.query('ROLLBACK').then(() => client.release(), () => client.release(true));
    throw error;
  }
}
