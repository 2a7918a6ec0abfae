import { redirect } from 'next/navigation';
import { Shell } from '@/components/shell';
import { asUser, Blocked } from '@/lib/db';
import { getSession } from '@/lib/session';
import type { Person } from '@/lib/types';

export default async function AppLayout({ children }: { children: React.ReactNode }) {
  const session = await getSession();
  if (!session) redirect('/login');
  const all = await asUser(session, async (sql) => ({
    people: await sql<Person & Record<string, unknown>>('SELECT id, name FROM app_user ORDER BY name'),
    tenant: (await sql<{ name: string }>('SELECT name FROM tenant'))[0].name,
  })).catch((error) => { if (error instanceof Blocked) return null; throw error; });
  if (!all) redirect('/login');
  return <Shell me={session.sub} people={all.people} tenant={all.tenant} url={process.env.ROOMS_URL ?? 'http://localhost:8080'}>{children}</Shell>;
}
