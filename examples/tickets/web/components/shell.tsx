'use client';

import Link from 'next/link';
import { usePathname } from 'next/navigation';
import { createContext, useContext, useEffect, useMemo, useState, useSyncExternalStore } from 'react';
import { SocketContext, type Status } from '@/hooks/useSocket';
import { api } from '@/lib/api';
import { connectSocket, disconnectSocket, type AppSocket } from '@/lib/socket/client';
import { current, dismiss, onServer, subscribe, toast } from '@/lib/toast';
import type { Person } from '@/lib/types';
import { Notifications } from './notifications';
import { Avatar } from './bits';

interface Who { me: string; people: Person[]; name: (id: string | null) => string }
const PeopleContext = createContext<Who>({ me: '', people: [], name: (id) => id ?? '' });
export const usePeople = () => useContext(PeopleContext);

const LINKS = [['/', 'Tickets'], ['/dashboard', 'Dashboard'], ['/documents', 'Documents']] as const;

export function Shell({ me, people, tenant, url, children }:
  { me: string; people: Person[]; tenant: string; url: string; children: React.ReactNode }) {
  const path = usePathname();
  const [socket, setSocket] = useState<AppSocket | null>(null);
  const [status, setStatus] = useState<Status>({ is: 'connecting' });
  const who = useMemo(() => ({ me, people, name: (id: string | null) => people.find((p) => p.id === id)?.name ?? id ?? 'nobody' }), [me, people]);

  useEffect(() => {
    const s = connectSocket(url);
    let wasOffline = false;
    s.on('connect', () => {
      if (wasOffline) toast(s.recovered ? 'Back online, nothing was missed' : 'Back online, everything was fetched again');
      wasOffline = false;
      setStatus({ is: 'online' });
    });
    s.on('disconnect', (reason) => {
      if (reason === 'io server disconnect') setStatus({ is: 'refused', why: 'The server has ended this connection' });
      else if (reason !== 'io client disconnect') { wasOffline = true; setStatus({ is: 'offline' }); }
    });
    s.on('connect_error', (error) => setStatus(s.active ? { is: 'offline' } : { is: 'refused', why: error.message }));
    s.io.on('reconnect_failed', () => setStatus({ is: 'refused', why: 'The server cannot be reached' }));
    // Whatever a handler refuses ends up here.  That an edit was on an old version the editor mends itself.
    s.on('error', ({ message, code }) => { if (code !== 'PT409') toast(message, 'error'); });
    setSocket(s);
    return () => { disconnectSocket(); setSocket(null); };
  }, [url]);

  const context = useMemo(() => ({ socket, status }), [socket, status]);
  const retry = () => { setStatus({ is: 'connecting' }); socket?.connect(); };
  const signOut = async () => { await api('/api/logout', {}); window.location.assign('/login'); };

  return (
    <SocketContext.Provider value={context}>
      <PeopleContext.Provider value={who}>
        <a className="skip" href="#main">Skip to content</a>
        <header className="top">
          <Link href="/" className="brand"><span className="logo" aria-hidden="true">✳</span><span>Tickets<small>{tenant}</small></span></Link>
          <nav aria-label="Main">
            {LINKS.map(([href, text]) => (
              <Link key={href} href={href} aria-current={(href === '/' ? path === '/' || path.startsWith('/tickets') : path.startsWith(href)) ? 'page' : undefined}>{text}</Link>
            ))}
          </nav>
          <Connection status={status} />
          <Notifications />
          <button className="plain" onClick={signOut} title={`Sign out ${who.name(me)}`} aria-label={`Sign out ${who.name(me)}`}><Avatar id={me} /></button>
        </header>
        {status.is === 'refused' && (
          <div className="banner" role="alert">
            <span><b>{status.why}.</b> What you see does not change any more.</span>
            <button onClick={retry}>Try again</button>
          </div>
        )}
        <main id="main">{children}</main>
        <Toasts />
      </PeopleContext.Provider>
    </SocketContext.Provider>
  );
}

function Connection({ status }: { status: Status }) {
  const text = { connecting: 'Connecting', online: 'Live', offline: 'Offline', refused: 'Disconnected' }[status.is];
  return <span className="state" data-state={status.is} role="status">{text}</span>;
}

function Toasts() {
  const toasts = useSyncExternalStore(subscribe, current, onServer);
  return (
    <div className="toasts" aria-live="polite">
      {toasts.map((t) => (
        <div key={t.id} className="toast" data-kind={t.kind} role={t.kind === 'error' ? 'alert' : undefined}>
          <span>{t.text}</span>
          <button className="plain" aria-label="Dismiss" onClick={() => dismiss(t.id)}>×</button>
        </div>
      ))}
    </div>
  );
}
