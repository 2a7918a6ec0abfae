// Short messages at the edge of the screen: toast('Saved') from anywhere.
export interface Toast { id: number; kind: 'info' | 'error'; text: string }

let toasts: Toast[] = [];
let next = 0;
const listeners = new Set<() => void>();
const changed = (to: Toast[]) => { toasts = to; listeners.forEach((listener) => listener()); };

export function toast(text: string, kind: Toast['kind'] = 'info') {
  const id = ++next;
  changed([...toasts.filter((t) => t.text !== text), { id, kind, text }].slice(-4));
  setTimeout(() => dismiss(id), kind === 'error' ? 8000 : 4000);
}
export const dismiss = (id: number) => changed(toasts.filter((t) => t.id !== id));
export const subscribe = (listener: () => void) => { listeners.add(listener); return () => { listeners.delete(listener); }; };
export const current = () => toasts;
const none: Toast[] = [];
export const onServer = () => none;
