// Three-way merge of one span of changes on each side.  Nothing that anybody
// wrote is lost: where both changed the same place, both texts stay.
interface Span { from: number; to: number; text: string }

function change(base: string, now: string): Span {
  let from = 0;
  while (from < base.length && from < now.length && base[from] === now[from]) from++;
  let end = 0;
  while (end < base.length - from && end < now.length - from && base[base.length - 1 - end] === now[now.length - 1 - end]) end++;
  return { from, to: base.length - end, text: now.slice(from, now.length - end) };
}

export function merge(base: string, mine: string, theirs: string): string {
  if (mine === base || mine === theirs) return theirs;
  if (theirs === base) return mine;
  const a = change(base, mine), b = change(base, theirs);
  if (a.to <= b.from && !(a.from === b.from)) return base.slice(0, a.from) + a.text + base.slice(a.to, b.from) + b.text + base.slice(b.to);
  if (b.to <= a.from) return base.slice(0, b.from) + b.text + base.slice(b.to, a.from) + a.text + base.slice(a.to);
  return base.slice(0, Math.min(a.from, b.from)) + b.text + a.text + base.slice(Math.max(a.to, b.to));
}

/** Where a position in `before` is in `after`. */
export function shift(position: number, before: string, after: string): number {
  const { from, to, text } = change(before, after);
  if (position <= from) return position;
  return position >= to ? position + text.length - (to - from) : from + text.length;
}
