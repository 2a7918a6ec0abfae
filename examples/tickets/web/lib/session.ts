// Who is signed in: a JWT in a cookie that scripts cannot read, signed with the
// secret that pg_rooms.jwt_secret holds as well.
import { cookies } from 'next/headers';
import { SignJWT, jwtVerify } from 'jose';

export interface Session { sub: string; tenant_id: number }

const COOKIE = 'tickets_session';
const key = () => {
  const secret = process.env.JWT_SECRET;
  if (!secret || secret.length < 32) throw new Error('JWT_SECRET: at least 32 bytes, the same as pg_rooms.jwt_secret');
  return new TextEncoder().encode(secret);
};

export const sign = (session: Session, expires: string) =>
  new SignJWT({ tenant_id: session.tenant_id }).setProtectedHeader({ alg: 'HS256' }).setSubject(session.sub)
    .setIssuedAt().setExpirationTime(expires).sign(key());

export async function signIn(session: Session) {
  (await cookies()).set(COOKIE, await sign(session, '12h'),
    { httpOnly: true, sameSite: 'lax', path: '/', maxAge: 12 * 3600, secure: process.env.SECURE_COOKIES === '1' });
}

export async function signOut() {
  (await cookies()).delete(COOKIE);
}

export async function getSession(): Promise<Session | null> {
  const token = (await cookies()).get(COOKIE)?.value;
  if (!token) return null;
  try {
    const { payload } = await jwtVerify(token, key(), { algorithms: ['HS256'] });
    return { sub: String(payload.sub), tenant_id: Number(payload.tenant_id) };
  } catch {
    return null;
  }
}
