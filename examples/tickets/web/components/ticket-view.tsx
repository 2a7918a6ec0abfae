'use client';

import Link from 'next/link';
import { useState, type FormEvent } from 'react';
import { useLive } from '@/hooks/useSocket';
import { useTyping } from '@/hooks/useTyping';
import { api } from '@/lib/api';
import { toast } from '@/lib/toast';
import type { Comment, Status, Ticket } from '@/lib/types';
import { Ago, Avatar, LABEL, Loading } from './bits';
import { usePeople } from './shell';

interface View { ticket: Ticket; comments: Comment[]; gone?: boolean }

const add = (view: View, comment: Comment) => comment.ticket_id !== view.ticket.id ? view
  : { ...view, comments: [...view.comments.filter((c) => c.id !== comment.id), comment].sort((a, b) => a.id - b.id) };

export function TicketView({ id }: { id: number }) {
  const { people, name } = usePeople();
  const room = `ticket:${id}`;
  const { state: view, error } = useLive<View>(`/api/tickets/${id}`, room, {
    'ticket:updated': (v, ticket) => (ticket.id === id ? { ...v, ticket } : v),
    'ticket:deleted': (v, ticket) => (ticket.id === id ? { ...v, gone: true } : v),
    'comment:created': add,
  });
  const { typing, type } = useTyping(room);
  const [text, setText] = useState('');

  if (!view) return <><Back /><Loading error={error} /></>;
  const { ticket, comments } = view;
  const patch = (change: object) => api(`/api/tickets/${id}`, change, 'PATCH').catch((e) => toast(e.message, 'error'));

  async function comment(event: FormEvent) {
    event.preventDefault();
    try {
      await api(`/api/tickets/${id}/comments`, { body: text });
      setText('');
      type(false);
    } catch (e) {
      toast((e as Error).message, 'error');
    }
  }

  return (
    <>
      <Back />
      {view.gone && <p className="problem" role="alert">This ticket is not here any more.</p>}
      <article className="ticket">
        <div className="card">
          <h1><span className="id">#{ticket.id}</span> {ticket.title}</h1>
          <p className="soft">{name(ticket.created_by)} · <Ago time={ticket.created_at} /></p>
          {ticket.body && <p className="body">{ticket.body}</p>}
          <h2>Comments</h2>
          <ol className="comments">
            {comments.map((c) => (
              <li key={c.id}><Avatar id={c.author} /><div><b>{name(c.author)}</b> <span className="soft"><Ago time={c.created_at} /></span><p className="body">{c.body}</p></div></li>
            ))}
            {comments.length === 0 && <li className="empty">Nobody has said anything yet.</li>}
          </ol>
          <p className="typing" aria-live="polite">{typing.length > 0 && `${typing.map(name).join(' and ')} ${typing.length > 1 ? 'are' : 'is'} typing …`}</p>
          <form className="reply" onSubmit={comment}>
            <textarea aria-label="Your comment" placeholder="Say something" rows={2} value={text} disabled={view.gone}
              onChange={(e) => { setText(e.target.value); type(true); }} />
            <button className="primary" disabled={!text.trim()}>Comment</button>
          </form>
        </div>
        <aside className="card">
          <label>Status
            <select value={ticket.status} disabled={view.gone} onChange={(e) => void patch({ status: e.target.value as Status })}>
              {(Object.keys(LABEL) as Status[]).map((s) => <option key={s} value={s}>{LABEL[s]}</option>)}
            </select>
          </label>
          <label>Assignee
            <select value={ticket.assignee ?? ''} disabled={view.gone} onChange={(e) => void patch({ assignee: e.target.value })}>
              <option value="">Nobody yet</option>
              {people.map((p) => <option key={p.id} value={p.id}>{p.name}</option>)}
            </select>
          </label>
          <p className="soft">Changed <Ago time={ticket.updated_at} /></p>
        </aside>
      </article>
    </>
  );
}

const Back = () => <p className="back"><Link href="/">← All tickets</Link></p>;
