import { DocumentList } from '@/components/document-list';

export default function Page() { return <DocumentList />; }
