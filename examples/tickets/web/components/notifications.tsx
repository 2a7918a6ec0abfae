'use client';

import { useRouter } from 'next/navigation';
import { useEffect, useRef, useState } from 'react';
import { useEvent, useLive, useSocket } from '@/hooks/useSocket';
import { api } from '@/lib/api';
import { toast } from '@/lib/toast';
import { failed, type Notice } from '@/lib/types';
import { Ago } from './bits';

const read = (id: number, state: boolean) => (list: Notice[]) => list.map((n) => (n.id === id ? { ...n, read: state } : n));

export function Notifications() {
  const router = useRouter();
  const { socket, status } = useSocket();
  const [open, setOpen] = useState(false);
  const [permission, setPermission] = useState<NotificationPermission | 'unsupported'>('unsupported');
  const box = useRef<HTMLDivElement>(null);
  const { state: list = [], setState } = useLive<Notice[]>('/api/notifications', null, {
    'notification:new': (all, notice) => [notice, ...all.filter((n) => n.id !== notice.id)],
    'notification:updated': (all, change) => read(change.id, change.read)(all),
  });
  const unread = list.filter((n) => !n.read).length;

  useEffect(() => { if ('Notification' in window) setPermission(Notification.permission); }, []);
  useEvent('notification:new', (notice) => {
    toast(`${notice.title}: ${notice.message}`);
    if ('Notification' in window && Notification.permission === 'granted') {
      // Phones want a service worker for it and throw.
      try { new Notification(notice.title, { body: notice.message, tag: `notice-${notice.id}` }); } catch { /* the toast is there */ }
    }
  });
  useEffect(() => { document.title = unread ? `(${unread}) Tickets` : 'Tickets'; }, [unread]);

  // Closed by Escape, and by whatever happens outside.
  useEffect(() => {
    if (!open) return;
    const key = (event: KeyboardEvent) => { if (event.key === 'Escape') { setOpen(false); box.current?.querySelector('button')?.focus(); } };
    const away = (event: Event) => { if (!box.current?.contains(event.target as Node)) setOpen(false); };
    document.addEventListener('keydown', key);
    document.addEventListener('pointerdown', away);
    return () => { document.removeEventListener('keydown', key); document.removeEventListener('pointerdown', away); };
  }, [open]);

  // The acknowledgement says that it is read; the user's other devices hear of it.
  async function mark(notice: Notice) {
    if (notice.read) return;
    if (!socket?.connected) { toast('You are offline', 'error'); return; }
    const answer = await socket.timeout(10_000).emitWithAck('notification:read', notice.id).catch(() => false as const);
    if (!failed(answer) && answer) setState((all) => all && read(notice.id, true)(all));
  }

  return (
    <div className="bell" ref={box}>
      <button className="plain" aria-expanded={open} aria-label={`Notifications, ${unread} unread`} onClick={() => setOpen(!open)}>
        <svg viewBox="0 0 24 24" width="22" height="22" aria-hidden="true"><path fill="none" stroke="currentColor" strokeWidth="1.8" strokeLinecap="round" strokeLinejoin="round"
          d="M6 16V10.5a6 6 0 0 1 12 0V16l1.5 2h-15zM10 20.5a2.2 2.2 0 0 0 4 0" /></svg>
        {unread > 0 && <span className="count">{unread}</span>}
      </button>
      {open && (
        <section className="panel card" aria-label="Notifications">
          <header>
            <h2>Notifications</h2>
            {unread > 0 && <button className="link" onClick={() => api('/api/notifications', {}).catch((e) => toast(e.message, 'error'))}>Mark all as read</button>}
          </header>
          {status.is !== 'online' && <p className="note">You are offline. What you miss comes when you are back.</p>}
          {permission === 'default' && (
            <button className="note link" onClick={() => void Notification.requestPermission().then(setPermission)}>Show them on this desktop, too</button>
          )}
          <ul>
            {list.map((notice) => (
              <li key={notice.id} data-read={notice.read}>
                <button className="plain" onClick={() => { void mark(notice); if (notice.ticketId) router.push(`/tickets/${notice.ticketId}`); setOpen(false); }}>
                  <b>{notice.title}</b><span>{notice.message}</span><Ago time={notice.createdAt} />
                </button>
                {!notice.read && <button className="plain dot" aria-label={`Mark as read: ${notice.message}`} title="Mark as read" onClick={() => void mark(notice)} />}
              </li>
            ))}
          </ul>
          {list.length === 0 && <p className="empty">Nothing yet.</p>}
        </section>
      )}
    </div>
  );
}
