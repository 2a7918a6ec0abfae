// The one connection of this page: the stock client, and nothing of its own protocol.
import { io, type Socket } from 'socket.io-client';
import type { ClientEvents, ServerEvents } from '../types';

export type AppSocket = Socket<ServerEvents, ClientEvents>;

let socket: AppSocket | null = null;
let token = '';

// Called at each attempt to connect, so that no token is ever too old.
async function authenticate(done: (auth: object) => void) {
  try {
    const response = await fetch('/api/token', { cache: 'no-store' });
    if (response.status === 401) window.location.assign('/login');
    if (response.ok) token = (await response.json()).token;
  } catch {
    // The web server is away: the token we have may still do.
  }
  done({ token });
}

export function connectSocket(url: string): AppSocket {
  socket ??= io(url, {
    auth: (done) => { void authenticate(done); },
    reconnectionDelay: 300,
    reconnectionDelayMax: 3000,
    reconnectionAttempts: 100,
  });
  return socket;
}

export const getSocket = () => socket;

export function disconnectSocket() {
  socket?.disconnect();
  socket = null;
}
