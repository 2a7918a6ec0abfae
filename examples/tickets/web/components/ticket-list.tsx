'use client';

import Link from 'next/link';
import { useRef, useState, type FormEvent } from 'react';
import { useLive, useSocket } from '@/hooks/useSocket';
import { api } from '@/lib/api';
import { toast } from '@/lib/toast';
import { failed, type Status, type Ticket } from '@/lib/types';
import { Ago, Avatar, LABEL, Loading, Pill } from './bits';
import { usePeople } from './shell';

const upsert = (list: Ticket[], ticket: Ticket) =>
  list.some((t) => t.id === ticket.id) ? list.map((t) => (t.id === ticket.id ? ticket : t)) : [ticket, ...list].sort((a, b) => b.id - a.id);

/** The tenant's tickets, as they are now. */
export const useTickets = () => useLive<Ticket[]>('/api/tickets', null, {
  'ticket:created': upsert,
  'ticket:updated': upsert,
  'ticket:deleted': (list, gone) => list.filter((t) => t.id !== gone.id),
});

type Filter = 'all' | 'mine' | Status;

export function TicketList() {
  const { me, people } = usePeople();
  const { socket } = useSocket();
  const { state: tickets, error } = useTickets();
  const [filter, setFilter] = useState<Filter>('all');
  const dialog = useRef<HTMLDialogElement>(null);

  const fits = (t: Ticket, f: Filter) => f === 'all' || (f === 'mine' ? t.assignee === me : t.status === f);

  // Two ways to the same row: an event that is acknowledged ...
  async function quick(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = event.currentTarget;
    if (!socket?.connected) { toast('You are offline', 'error'); return; }
    const answer = await socket.timeout(10_000).emitWithAck('ticket:create', { title: new FormData(form).get('title') as string }).catch(() => null);
    if (!answer) toast('No answer, please look whether the ticket is there', 'error');
    else if (!failed(answer)) { form.reset(); toast(`#${answer.id} is there`); }
  }

  // ... and an API route.
  async function create(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = event.currentTarget;
    try {
      await api('/api/tickets', Object.fromEntries(new FormData(form)));
      form.reset();
      dialog.current?.close();
    } catch (e) {
      toast((e as Error).message, 'error');
    }
  }

  return (
    <>
      <div className="head">
        <h1>Tickets</h1>
        <button className="primary" onClick={() => dialog.current?.showModal()}>New ticket</button>
      </div>
      <form className="quick" onSubmit={quick}>
        <input name="title" aria-label="Title of a new ticket" placeholder="What is wrong? Enter makes it a ticket" autoComplete="off" />
      </form>
      <div className="tabs" role="group" aria-label="Filter">
        {(['all', 'open', 'doing', 'done', 'mine'] as const).map((f) => (
          <button key={f} aria-pressed={filter === f} onClick={() => setFilter(f)}>
            {f === 'all' ? 'All' : f === 'mine' ? 'Mine' : LABEL[f]} <small>{tickets?.filter((t) => fits(t, f)).length ?? ''}</small>
          </button>
        ))}
      </div>
      {!tickets ? <Loading error={error} /> : (
        <ul className="tickets card">
          {tickets.filter((t) => fits(t, filter)).map((t) => (
            <li key={`${t.id} ${t.updated_at}`}>
              <Link href={`/tickets/${t.id}`}>
                <span className="id">#{t.id}</span><span className="title">{t.title}</span>
                <Pill status={t.status} /><Avatar id={t.assignee} /><Ago time={t.updated_at} />
              </Link>
            </li>
          ))}
          {!tickets.some((t) => fits(t, filter)) && <li className="empty">No tickets here.</li>}
        </ul>
      )}
      <dialog ref={dialog} aria-labelledby="new-ticket">
        <form onSubmit={create}>
          <h2 id="new-ticket">New ticket</h2>
          <label>Title <input name="title" required autoComplete="off" /></label>
          <label>Description <textarea name="body" rows={4} /></label>
          <label>Assignee
            <select name="assignee" defaultValue="">
              <option value="">Nobody yet</option>
              {people.map((p) => <option key={p.id} value={p.id}>{p.name}</option>)}
            </select>
          </label>
          <div className="row"><button type="button" onClick={() => dialog.current?.close()}>Cancel</button><button className="primary">Create</button></div>
        </form>
      </dialog>
    </>
  );
}
