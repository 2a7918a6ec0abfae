'use client';

import { useState, type FormEvent } from 'react';
import { api } from '@/lib/api';

export default function Login() {
  const [error, setError] = useState('');
  const [busy, setBusy] = useState(false);

  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    setBusy(true);
    try {
      await api('/api/login', Object.fromEntries(new FormData(event.currentTarget)));
      window.location.assign('/');
    } catch (e) {
      setError((e as Error).message);
      setBusy(false);
    }
  }

  return (
    <main className="login">
      <form className="card" onSubmit={submit}>
        <span className="logo" aria-hidden="true">✳</span>
        <h1>Sign in to Tickets</h1>
        <label>Name <input name="name" autoComplete="username" autoFocus required /></label>
        <label>Password <input name="password" type="password" autoComplete="current-password" required /></label>
        {error && <p className="problem" role="alert">{error}</p>}
        <button className="primary" disabled={busy}>{busy ? 'Signing in …' : 'Sign in'}</button>
        <p className="soft">Try <b>ada</b>, <b>ben</b> or <b>mia</b> of Acme, or <b>cleo</b> of Globex. The password is <b>rooms</b>.</p>
      </form>
    </main>
  );
}
