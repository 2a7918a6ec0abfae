'use client';

import Link from 'next/link';
import { useRouter } from 'next/navigation';
import type { FormEvent } from 'react';
import { useLive } from '@/hooks/useSocket';
import { api } from '@/lib/api';
import { toast } from '@/lib/toast';
import type { Doc } from '@/lib/types';
import { Ago, Loading } from './bits';

export function DocumentList() {
  const router = useRouter();
  const { state: docs, error } = useLive<Omit<Doc, 'body'>[]>('/api/documents', null, {});

  async function create(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    try {
      const doc = await api<Doc>('/api/documents', Object.fromEntries(new FormData(event.currentTarget)));
      router.push(`/documents/${doc.id}`);
    } catch (e) {
      toast((e as Error).message, 'error');
    }
  }

  return (
    <>
      <div className="head"><h1>Documents</h1></div>
      <form className="quick" onSubmit={create}>
        <input name="title" aria-label="Title of a new document" placeholder="Title of a new document, Enter creates it" autoComplete="off" />
      </form>
      {!docs ? <Loading error={error} /> : (
        <ul className="tickets card">
          {docs.map((d) => (
            <li key={d.id}><Link href={`/documents/${d.id}`}><span className="title">{d.title}</span><span className="soft">version {d.version}</span><Ago time={d.updated_at} /></Link></li>
          ))}
        </ul>
      )}
    </>
  );
}
