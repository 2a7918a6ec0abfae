/** A request to an API route; throws with the message that the route gave. */
export async function api<T>(path: string, body?: unknown, method = body === undefined ? 'GET' : 'POST'): Promise<T> {
  const response = await fetch(path, {
    method, cache: 'no-store',
    ...(body !== undefined && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  }).catch(() => { throw new Error('You are offline'); });
  if (response.status === 401 && path !== '/api/login') window.location.assign('/login');
  const result = await response.json().catch(() => null);
  if (!response.ok) throw new Error(result?.error ?? 'That did not work');
  return result as T;
}
