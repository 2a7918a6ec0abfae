import { redirect } from 'next/navigation';
import { Dashboard } from '@/components/dashboard';
import { getSession } from '@/lib/session';

export default async function Page() {
  const session = await getSession();
  if (!session) redirect('/login');
  return <Dashboard tenant={session.tenant_id} />;
}
