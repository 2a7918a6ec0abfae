import { HttpError, forUser } from '@/lib/route';

export const GET = () => forUser(async (sql) => (await sql('SELECT id, requests, latency_ms, at FROM metric ORDER BY id DESC LIMIT 60')).reverse());

// Samples as a monitoring agent sends them, many at once.
export async function POST(request: Request) {
  const { samples } = await request.json();
  return forUser(async (sql) => {
    if (!Array.isArray(samples) || samples.length > 1000) throw new HttpError(400, 'samples: an array of at most 1000');
    await sql(`INSERT INTO metric (requests, latency_ms) SELECT s.requests, s.latency_ms
      FROM jsonb_to_recordset($1) AS s (requests int, latency_ms int)`, [JSON.stringify(samples)]);
  });
}
