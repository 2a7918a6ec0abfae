// What the API routes share: who asks, and errors that a person can read.
import { NextResponse } from 'next/server';
import { Blocked, asUser, type Sql } from './db';
import { getSession, type Session } from './session';

/** Throw it for an answer with a status of your own. */
export class HttpError extends Error {
  constructor(readonly status: number, message: string) { super(message); }
}

/** A person's request, in one transaction with that person's rights. */
export async function forUser<T>(work: (sql: Sql, session: Session) => Promise<T>): Promise<NextResponse> {
  const session = await getSession();
  if (!session) return NextResponse.json({ error: 'Please sign in' }, { status: 401 });
  try {
    return NextResponse.json((await asUser(session, (sql) => work(sql, session))) ?? null);
  } catch (error) {
    if (error instanceof Blocked) return NextResponse.json({ error: error.message }, { status: 403 });
    if (error instanceof HttpError) return NextResponse.json({ error: error.message }, { status: error.status });
    console.error(error);
    return NextResponse.json({ error: 'That did not work' }, { status: 500 });
  }
}
