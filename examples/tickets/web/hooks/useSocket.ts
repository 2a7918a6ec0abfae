'use client';

import { createContext, useContext, useEffect, useRef, useState } from 'react';
import { api } from '@/lib/api';
import type { AppSocket } from '@/lib/socket/client';
import type { ServerEvents } from '@/lib/types';

export type Status =
  | { is: 'connecting' }
  | { is: 'online' }
  | { is: 'offline' }                       // comes back by itself
  | { is: 'refused'; why: string };         // does not: too many connections, blocked, kicked

export const SocketContext = createContext<{ socket: AppSocket | null; status: Status }>({ socket: null, status: { is: 'connecting' } });

/** The connection, once there is one, and how it is. */
export const useSocket = () => useContext(SocketContext);

/** Calls `handler` for each event of that name. */
export function useEvent<E extends keyof ServerEvents>(event: E, handler: ServerEvents[E]) {
  const { socket } = useSocket();
  const latest = useRef(handler);
  useEffect(() => { latest.current = handler; });
  useEffect(() => {
    if (!socket) return;
    const listener = (...args: unknown[]) => (latest.current as (...args: unknown[]) => void)(...args);
    socket.on(event, listener as never);
    return () => { socket.off(event, listener as never); };
  }, [socket, event]);
}

type Reducers<T> = { [E in keyof ServerEvents]?: (state: T, ...args: Parameters<ServerEvents[E]>) => T };

/**
 * State that is fetched from `url` and follows events.  The order makes it
 * complete: listen, join `room`, fetch, then apply what came meanwhile.  It is
 * fetched again only when a connection comes back that could not be recovered.
 */
export function useLive<T>(url: string, room: string | null, reducers: Reducers<T>) {
  const { socket } = useSocket();
  const [state, setState] = useState<T>();
  const [error, setError] = useState<string>();
  const latest = useRef(reducers);
  useEffect(() => { latest.current = reducers; });

  useEffect(() => {
    if (!socket) return;
    let alive = true;
    let run = 0;
    let waiting = null as ((state: T) => T)[] | null;     // while a fetch is under way

    const listeners = (Object.keys(latest.current) as (keyof ServerEvents)[]).map((event) => {
      const listener = (...args: unknown[]) => {
        const change = (s: T) => (latest.current[event] as (s: T, ...args: unknown[]) => T)(s, ...args);
        if (waiting) waiting.push(change);
        else setState((s) => (s === undefined ? s : change(s)));
      };
      socket.on(event, listener as never);
      return [event, listener] as const;
    });

    const load = async () => {
      const mine = ++run;
      waiting = [];
      try {
        if (room && socket.connected) await socket.timeout(10_000).emitWithAck('room:join', room);
        const fetched = await api<T>(url);
        if (!alive || mine !== run) return;
        setState((waiting ?? []).reduce<T>((s, change) => change(s), fetched));
        setError(undefined);
      } catch (e) {
        if (alive && mine === run) setError((e as Error).message);
      }
      if (mine === run) waiting = null;
    };
    const onConnect = () => { if (!socket.recovered) void load(); };
    socket.on('connect', onConnect);
    void load();

    return () => {
      alive = false;
      socket.off('connect', onConnect);
      for (const [event, listener] of listeners) socket.off(event, listener as never);
      if (room && socket.connected) socket.emit('room:leave', room);
    };
  }, [socket, url, room]);

  return { state, setState, error };
}
