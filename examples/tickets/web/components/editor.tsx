'use client';

import Link from 'next/link';
import { useCallback, useEffect, useLayoutEffect, useRef, useState } from 'react';
import { useEvent, useLive, useSocket } from '@/hooks/useSocket';
import { useTyping } from '@/hooks/useTyping';
import { api } from '@/lib/api';
import { merge, shift } from '@/lib/merge';
import { toast } from '@/lib/toast';
import { failed, type Cursor, type Doc } from '@/lib/types';
import { Avatar, hue, Loading } from './bits';
import { usePeople } from './shell';

const SAVE_AFTER = 200;       // ms without a key
const FORGET_AFTER = 30_000;  // a cursor nobody has heard of

interface Other extends Cursor { userId: string; sid: string; seen: number }

/**
 * A text that several people write.  `base` is the last version that the
 * server has confirmed, the text area holds that with one's own changes.  An
 * edit is sent with base's version; if somebody else was faster, the server
 * refuses it, and it is merged into their text and sent again.
 */
export function Editor({ id }: { id: number }) {
  const { me, name } = usePeople();
  const { socket, status } = useSocket();
  const room = `document:${id}`;
  // Before the room is left, so before useLive.
  useEffect(() => () => {
    if (socket?.connected) socket.emit('room:emit', room, 'cursor', { from: -1, to: -1 });      // away
  }, [socket, room]);
  const { state: doc, error } = useLive<Doc>(`/api/documents/${id}`, room, {
    'document:updated': (d, next) => (next.id === d.id && next.version > d.version ? next : d),
  });
  const [text, setText] = useState('');
  const [others, setOthers] = useState<Other[]>([]);
  const [state, setState] = useState<'saved' | 'saving' | 'unsaved'>('saved');
  const { typing, type } = useTyping(room);

  const area = useRef<HTMLTextAreaElement>(null);
  const base = useRef<Doc>(undefined);
  const now = useRef('');                   // the text, for what runs between two renderings
  const caret = useRef<[number, number]>(null);
  const saving = useRef(false);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);

  // The cursor of who wrote it (by) has gone ahead of the text.
  const show = useCallback((next: string, by: string | null) => {
    const before = now.current, element = area.current;
    if (next === before) return;
    if (element) caret.current = [shift(element.selectionStart, before, next), shift(element.selectionEnd, before, next)];
    setOthers((all) => all.map((o) => (o.userId === by ? o : { ...o, from: shift(o.from, before, next), to: shift(o.to, before, next) })));
    now.current = next;
    setText(next);
  }, []);
  useLayoutEffect(() => {
    if (caret.current && area.current === document.activeElement) area.current?.setSelectionRange(...caret.current);
    caret.current = null;
  }, [text]);

  // Somebody's newer version: one's own unsaved changes go on top of it.
  const take = useCallback((next: Doc) => {
    if (base.current && next.version <= base.current.version) return;
    const merged = base.current ? merge(base.current.body, now.current, next.body) : next.body;
    base.current = next;
    show(merged, next.updated_by);
  }, [show]);

  const point = useRef(0);
  const tellCursor = useCallback(() => {
    // At most 20 a second, the last one always.
    if (point.current) return;
    point.current = window.setTimeout(() => {
      point.current = 0;
      const element = area.current;
      if (element && element === document.activeElement && socket?.connected) socket.emit('room:emit', room, 'cursor', { from: element.selectionStart, to: element.selectionEnd });
    }, 50);
  }, [socket, room]);

  const save = useCallback(async () => {
    if (!socket?.connected || saving.current || !base.current) return;
    saving.current = true;
    while (socket.connected && base.current.body !== now.current) {
      setState('saving');
      const sent: string = now.current;
      const from: Doc = base.current;
      const answer = await socket.timeout(10_000).emitWithAck('document:edit', id, from.version, sent).catch(() => null);
      if (answer === null) break;
      if (!failed(answer)) {
        // Other versions may have come while this one was under way.
        if (answer > base.current.version) base.current = { ...from, version: answer, body: sent };
      } else if (answer.error.code === 'PT409') {
        const theirs = await api<Doc>(`/api/documents/${id}`).catch(() => null);
        if (!theirs) break;
        take(theirs);
        toast('Somebody else wrote at the same time: both texts are merged');
      } else break;
    }
    saving.current = false;
    tellCursor();
    setState(base.current.body === now.current ? 'saved' : 'unsaved');
  }, [socket, id, take, tellCursor]);

  useEffect(() => { if (doc) { take(doc); void save(); } }, [doc, take, save]);
  useEffect(() => { if (status.is === 'online') void save(); }, [status, save]);
  useEffect(() => () => { clearTimeout(timer.current); clearTimeout(point.current); void save(); }, [save]);

  useEvent('cursor', (cursor, who) => setOthers((all) =>
    [...all.filter((o) => o.sid !== who.sid), ...(cursor.from < 0 ? [] : [{ ...cursor, ...who, seen: Date.now() }])].sort((a, b) => a.from - b.from)));
  useEvent('user:left', ({ sid }) => setOthers((all) => all.filter((o) => o.sid !== sid)));
  useEffect(() => {
    const sweep = setInterval(() => { setOthers((all) => all.filter((o) => o.seen > Date.now() - FORGET_AFTER)); if (document.activeElement === area.current) tellCursor(); }, 10_000);
    return () => clearInterval(sweep);
  }, [tellCursor]);

  function write(next: string) {
    const before = now.current;
    now.current = next;
    setText(next);
    setOthers((all) => all.map((o) => ({ ...o, from: shift(o.from, before, next), to: shift(o.to, before, next) })));
    setState('unsaved');
    type(true);
    tellCursor();
    clearTimeout(timer.current);
    timer.current = setTimeout(() => void save(), SAVE_AFTER);
  }

  const back = <p className="back"><Link href="/documents">← All documents</Link></p>;
  if (!doc) return <>{back}<Loading error={error} /></>;
  const people = [...new Set([me, ...others.map((o) => o.userId)])];
  return (
    <>
      {back}
      <div className="head">
        <h1>{doc.title}</h1>
        <span className="people" aria-label={`Here: ${people.map(name).join(', ')}`}>{people.map((p) => <Avatar key={p} id={p} />)}</span>
      </div>
      <div className="card editor">
        <div className="page">
          <Mirror text={text} others={others} name={name} />
          <textarea ref={area} aria-label="Text" spellCheck={false} value={text}
            onChange={(e) => write(e.target.value)} onSelect={tellCursor} onFocus={tellCursor} />
        </div>
        <footer>
          <span data-save={state} role="status">{status.is !== 'online' && state !== 'saved' ? 'Kept here until you are online' : { saved: 'Saved', saving: 'Saving …', unsaved: 'Not saved yet' }[state]}</span>
          <span className="typing" aria-live="polite">{typing.length > 0 && `${typing.map(name).join(' and ')} ${typing.length > 1 ? 'are' : 'is'} typing …`}</span>
          <span className="soft">version {Math.max(doc.version, base.current?.version ?? 0)}</span>
        </footer>
      </div>
    </>
  );
}

/** The same text under the text area, unseen, with the others' cursors in it. */
function Mirror({ text, others, name }: { text: string; others: Other[]; name: (id: string) => string }) {
  const parts: React.ReactNode[] = [];
  let at = 0;
  for (const o of others) {
    const from = Math.min(Math.max(o.from, at), text.length), to = Math.min(Math.max(o.to, from), text.length);
    parts.push(text.slice(at, from), (
      <span key={o.sid} className="cursor" style={{ '--hue': hue(o.userId) } as React.CSSProperties}>
        <mark>{text.slice(from, to)}</mark><i data-cursor={o.userId}><b>{name(o.userId).split(' ')[0]}</b></i>
      </span>
    ));
    at = to;
  }
  parts.push(text.slice(at), '\n');
  return <div className="mirror" aria-hidden="true">{parts}</div>;
}
