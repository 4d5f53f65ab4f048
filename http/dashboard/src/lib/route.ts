// Pages by the hash of the URL: the service serves one document, and a link to any page survives a reload.

import { signal } from '@preact/signals';

export interface Route {
  page: string;
  id: string;
  query: URLSearchParams;
}

export const route = signal<Route>(parse(location.hash));

addEventListener('hashchange', () => {
  route.value = parse(location.hash);
});

export function go(path: string): void {
  location.hash = path;
}

/** Changes the query in place: filters are worth a link, but not a step back each. */
export function setQuery(changes: Record<string, string | null>): void {
  const query = new URLSearchParams(route.value.query);
  for (const [name, value] of Object.entries(changes)) {
    if (value) query.set(name, value);
    else query.delete(name);
  }
  const { page, id } = route.value;
  const text = query.toString();
  history.replaceState(null, '', `#/${[page, id && encodeURIComponent(id)].filter(Boolean).join('/')}${text ? `?${text}` : ''}`);
  route.value = { page, id, query };
}

export function vehiclePath(id: string): string {
  return `#/vehicles/${encodeURIComponent(id)}`;
}

function parse(hash: string): Route {
  const [path = '', query = ''] = hash.replace(/^#\/?/, '').split('?', 2);
  const [page = '', id = ''] = path.split('/');
  return { page, id: decoded(id), query: new URLSearchParams(query) };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
