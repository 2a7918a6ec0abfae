import type { Metadata, Viewport } from 'next';
import './globals.css';

export const metadata: Metadata = { title: 'Tickets', description: 'A live ticket system on PostgreSQL alone', icons: 'data:,' };
export const viewport: Viewport = { width: 'device-width', initialScale: 1, themeColor: '#2f5d9b' };

export default function Root({ children }: { children: React.ReactNode }) {
  return <html lang="en"><body>{children}</body></html>;
}
