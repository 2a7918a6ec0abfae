'use client';

import { useCallback, useEffect, useRef, useState } from 'react';
import { useEvent, useSocket } from './useSocket';

const QUIET = 3000;     // who has not typed for so long, does not type

/** Who else types in a room that relays `typing`; call type() at each key. */
export function useTyping(room: string) {
  const { socket } = useSocket();
  const [typing, setTyping] = useState<{ userId: string; sid: string; until: number }[]>([]);
  const said = useRef(0);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);

  const say = useCallback((on: boolean) => {
    said.current = on ? Date.now() : 0;
    if (socket?.connected) socket.emit('room:emit', room, 'typing', on);
  }, [socket, room]);
  const type = useCallback((on: boolean) => {
    clearTimeout(timer.current);
    if (!on) { if (said.current) say(false); return; }
    if (Date.now() - said.current > QUIET / 2) say(true);
    timer.current = setTimeout(() => say(false), QUIET);
  }, [say]);
  useEffect(() => () => clearTimeout(timer.current), []);

  useEvent('typing', (on, { userId, sid }) => {
    setTyping((all) => [...all.filter((t) => t.sid !== sid), ...(on ? [{ userId, sid, until: Date.now() + 2 * QUIET }] : [])]);
  });
  useEvent('user:left', ({ sid }) => setTyping((all) => all.filter((t) => t.sid !== sid)));
  useEffect(() => {
    if (typing.length === 0) return;
    const sweep = setInterval(() => setTyping((all) => all.filter((t) => t.until > Date.now())), 1000);
    return () => clearInterval(sweep);
  }, [typing.length]);

  return { typing: [...new Set(typing.map((t) => t.userId))], type };
}
