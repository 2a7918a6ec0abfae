import { NextResponse } from 'next/server';
import { pool } from '@/lib/db';
import { signIn, type Session } from '@/lib/session';

export async function POST(request: Request) {
  const { name, password } = await request.json();
  const { rows } = await pool.query<Session>('SELECT sub, tenant_id FROM login($1, $2)', [String(name), String(password)]);
  if (rows.length === 0) return NextResponse.json({ error: 'Wrong name or password' }, { status: 403 });
  await signIn(rows[0]);
  return NextResponse.json({ ok: true });
}
