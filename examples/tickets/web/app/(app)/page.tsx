import { TicketList } from '@/components/ticket-list';

export default function Page() { return <TicketList />; }
