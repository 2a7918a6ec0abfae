// Rows as the database sends them, by emit_row and by API routes alike.
export type Status = 'open' | 'doing' | 'done';

export interface Ticket {
  id: number;
  tenant_id: number;
  title: string;
  body: string;
  status: Status;
  assignee: string | null;
  created_by: string | null;
  created_at: string;
  updated_at: string;
}

export interface Comment { id: number; ticket_id: number; author: string; body: string; created_at: string }
export interface Notice { id: number; title: string; message: string; read: boolean; createdAt: string; ticketId: number | null }
export interface Metric { id: number; requests: number; latency_ms: number; at: string }
export interface Doc { id: number; title: string; body: string; version: number; updated_by: string | null; updated_at: string }
export interface Person { id: string; name: string }
export interface Sender { userId: string; sid: string }
export interface Cursor { from: number; to: number }
export interface TenantEvent { type: string; ticketId: number; title: string; by: string | null; at: string }
export interface Failure { message: string; code: string }

// Every acknowledgement of the server is the handler's result, or { error }.
export type Answer<T> = T | { error: Failure };
export const failed = <T>(answer: Answer<T>): answer is { error: Failure } =>
  typeof answer === 'object' && answer !== null && 'error' in answer;

export interface ServerEvents {
  error: (failure: Failure & { event: string }) => void;
  'notification:new': (notice: Notice) => void;
  'notification:updated': (change: { id: number; read: boolean }) => void;
  'ticket:created': (ticket: Ticket) => void;
  'ticket:updated': (ticket: Ticket) => void;
  'ticket:deleted': (ticket: Ticket) => void;
  'comment:created': (comment: Comment) => void;
  'tenant:event': (event: TenantEvent) => void;
  'metrics:update': (metric: Metric) => void;
  'document:updated': (doc: Doc) => void;
  'user:left': (who: Sender) => void;
  cursor: (cursor: Cursor, who: Sender) => void;
  typing: (typing: boolean, who: Sender) => void;
}

export interface ClientEvents {
  'ticket:create': (ticket: { title: string; body?: string; assignee?: string | null }, ack: (answer: Answer<Ticket>) => void) => void;
  'notification:read': (id: number, ack: (answer: Answer<boolean>) => void) => void;
  'document:edit': (id: number, version: number, body: string, ack: (answer: Answer<number>) => void) => void;
  'room:join': (room: string, ack?: (answer?: { error: Failure }) => void) => void;
  'room:leave': (room: string) => void;
  'room:emit': (room: string, event: string, ...args: unknown[]) => void;
}
