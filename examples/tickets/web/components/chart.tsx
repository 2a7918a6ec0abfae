'use client';

import { useState } from 'react';

interface Props { label: string; unit: string; values: { at: string; value: number }[]; colour: string }

const W = 640, H = 200, LEFT = 46, BOTTOM = 22, TOP = 8;

/** One line over time, with the value under the pointer; the last one otherwise. */
export function Chart({ label, unit, values, colour }: Props) {
  const [at, setAt] = useState<number | null>(null);
  if (values.length < 2) return <p className="empty">Waiting for values.</p>;

  const top = nice(Math.max(...values.map((v) => v.value)));
  const x = (i: number) => LEFT + (i / (values.length - 1)) * (W - LEFT - 6);
  const y = (value: number) => TOP + (1 - value / top) * (H - TOP - BOTTOM);
  const line = values.map((v, i) => `${i ? 'L' : 'M'}${x(i).toFixed(1)} ${y(v.value).toFixed(1)}`).join('');
  const shown = at ?? values.length - 1;
  const time = (v: { at: string }) => new Date(v.at).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: '2-digit' });

  return (
    <figure className="chart" style={{ '--series': colour } as React.CSSProperties}>
      <figcaption><span>{label}</span><b>{values[shown].value} <small>{unit}</small></b><span className="soft">{time(values[shown])}</span></figcaption>
      <svg viewBox={`0 0 ${W} ${H}`} role="img" aria-label={`${label}: ${values[values.length - 1].value} ${unit}`}
        onPointerLeave={() => setAt(null)}
        onPointerMove={(e) => {
          const box = e.currentTarget.getBoundingClientRect();
          const i = Math.round((((e.clientX - box.left) / box.width) * W - LEFT) / (W - LEFT - 6) * (values.length - 1));
          setAt(Math.min(values.length - 1, Math.max(0, i)));
        }}>
        {[0, 0.5, 1].map((part) => (
          <g key={part}><line className="grid" x1={LEFT} x2={W - 6} y1={y(top * part)} y2={y(top * part)} /><text x={LEFT - 8} y={y(top * part) + 4} textAnchor="end">{short(top * part)}</text></g>
        ))}
        <text x={LEFT} y={H - 5}>{time(values[0])}</text><text x={W - 6} y={H - 5} textAnchor="end">{time(values[values.length - 1])}</text>
        <path className="area" d={`${line}L${x(values.length - 1)} ${y(0)}L${LEFT} ${y(0)}Z`} />
        <path className="line" d={line} />
        {at !== null && <line className="cross" x1={x(shown)} x2={x(shown)} y1={TOP} y2={H - BOTTOM} />}
        <circle cx={x(shown)} cy={y(values[shown].value)} r="4" />
      </svg>
    </figure>
  );
}

const short = (n: number) => (n >= 10_000 ? `${n / 1000}k` : String(n));

function nice(max: number) {
  const step = 10 ** Math.floor(Math.log10(Math.max(max, 1)));
  return [1, 2, 4, 6, 8, 10].map((n) => n * step).find((n) => n >= max * 1.05) ?? max * 2;
}
