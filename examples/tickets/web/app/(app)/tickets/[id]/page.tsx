import { TicketView } from '@/components/ticket-view';

export default async function Page({ params }: { params: Promise<{ id: string }> }) {
  return <TicketView id={Number((await params).id)} />;
}
