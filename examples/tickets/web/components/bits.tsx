'use client';

// Small pieces that several pages show.
import { useEffect, useState } from 'react';
import type { Status } from '@/lib/types';
import { usePeople } from './shell';

/** A colour for each person, the same on every device. */
export function hue(id: string) {
  let h = 0;
  for (const c of id) h = (h * 31 + c.charCodeAt(0)) % 360;
  return (h * 47) % 360;
}

export function Avatar({ id }: { id: string | null }) {
  const { name } = usePeople();
  if (!id) return <span className="avatar nobody" title="Nobody yet" aria-hidden="true">?</span>;
  const initials = name(id).split(' ').map((word) => word[0]).join('').slice(0, 2);
  return <span className="avatar" style={{ '--hue': hue(id) } as React.CSSProperties} title={name(id)} aria-hidden="true">{initials}</span>;
}

export const LABEL: Record<Status, string> = { open: 'Open', doing: 'In progress', done: 'Done' };
export const Pill = ({ status }: { status: Status }) => <span className="pill" data-status={status}>{LABEL[status]}</span>;

function ago(time: string, now: number) {
  const s = Math.max(0, (now - Date.parse(time)) / 1000);
  if (s < 60) return 'just now';
  if (s < 3600) return `${Math.floor(s / 60)} min ago`;
  if (s < 86_400) return `${Math.floor(s / 3600)} h ago`;
  return `${Math.floor(s / 86_400)} d ago`;
}

export function Ago({ time }: { time: string }) {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 20_000);
    return () => clearInterval(timer);
  }, []);
  return <time dateTime={time} title={new Date(time).toLocaleString()}>{ago(time, now)}</time>;
}

export const Loading = ({ error }: { error?: string }) =>
  error ? <p className="problem" role="alert">{error}</p> : <div className="skeleton" aria-label="Loading"><i /><i /><i /></div>;
