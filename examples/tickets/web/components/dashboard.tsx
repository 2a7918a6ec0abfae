'use client';

import Link from 'next/link';
import { useRef, useState } from 'react';
import { useEvent, useLive } from '@/hooks/useSocket';
import { api } from '@/lib/api';
import { toast } from '@/lib/toast';
import type { Metric, Status } from '@/lib/types';
import { Ago, LABEL, Loading } from './bits';
import { Chart } from './chart';
import { usePeople } from './shell';
import { useTickets } from './ticket-list';

interface News { key: number; at: string; text: string; ticketId: number }

export function Dashboard({ tenant }: { tenant: number }) {
  const { name } = usePeople();
  const { state: tickets } = useTickets();
  const [heard, setHeard] = useState(0);
  const { state: metrics, error } = useLive<Metric[]>('/api/metrics', `dashboard:${tenant}`, {
    'metrics:update': (all, metric) => [...all, metric].slice(-60),
  });
  useEvent('metrics:update', () => setHeard((n) => n + 1));

  const [news, setNews] = useState<News[]>([]);
  const key = useRef(0);
  const tell = (text: string, ticketId: number) =>
    setNews((all) => [{ key: ++key.current, at: new Date().toISOString(), text, ticketId }, ...all].slice(0, 8));
  useEvent('ticket:created', (t) => tell(`${name(t.created_by)} created “${t.title}”`, t.id));
  useEvent('tenant:event', (e) => { if (e.type === 'ticket:done') tell(`${name(e.by)} solved “${e.title}”`, e.ticketId); });
  useEvent('comment:created', (c) => tell(`${name(c.author)} commented`, c.ticket_id));

  const [busy, setBusy] = useState(false);
  async function burst() {
    setBusy(true);
    const from = metrics?.at(-1)?.requests ?? 100;
    const samples = Array.from({ length: 200 }, (_, i) => ({ requests: Math.max(5, Math.round(from + 60 * Math.sin(i / 9) + i / 4)), latency_ms: 30 + Math.round(Math.random() * 25) }));
    await api('/api/metrics', { samples }).catch((e) => toast(e.message, 'error'));
    setBusy(false);
  }

  return (
    <>
      <div className="head">
        <h1>Dashboard</h1>
        <button onClick={burst} disabled={busy}>Write 200 samples</button>
      </div>
      <div className="tiles">
        {(Object.keys(LABEL) as Status[]).map((s) => (
          <div key={s} className="card tile" data-status={s}><span>{LABEL[s]}</span><b>{tickets ? tickets.filter((t) => t.status === s).length : '–'}</b></div>
        ))}
        <div className="card tile"><span>Updates heard</span><b data-testid="heard">{heard}</b></div>
      </div>
      {!metrics ? <Loading error={error} /> : (
        <div className="charts">
          <div className="card"><Chart label="Requests" unit="per second" colour="var(--accent)" values={metrics.map((m) => ({ at: m.at, value: m.requests }))} /></div>
          <div className="card"><Chart label="Latency" unit="ms" colour="var(--second)" values={metrics.map((m) => ({ at: m.at, value: m.latency_ms }))} /></div>
        </div>
      )}
      <section className="card news">
        <h2>What happens</h2>
        <ul>{news.map((n) => <li key={n.key}><Link href={`/tickets/${n.ticketId}`}>{n.text}</Link><Ago time={n.at} /></li>)}</ul>
        {news.length === 0 && <p className="empty">Quiet so far. Create a ticket in another window.</p>}
      </section>
    </>
  );
}
