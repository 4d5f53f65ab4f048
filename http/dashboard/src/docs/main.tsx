// Shows /openapi.json to a person. Everything comes from the document, so it cannot say anything else than the service does.

import { render } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { Failure, Loading } from '../parts/states';
import { ThemeToggle } from '../parts/theme-toggle';
import { Operations } from './operations';
import { Schemas } from './schemas';
import { Prose } from './prose';
import { operationsOf } from './openapi';
import type { Document } from './openapi';

function Page() {
  const [document, setDocument] = useState<Document | null>(null);
  const [error, setError] = useState('');
  const [wanted, setWanted] = useState('');

  async function load(): Promise<void> {
    setError('');
    try {
      const response = await fetch('/openapi.json');
      if (!response.ok) throw new Error(`The service answered ${response.status}.`);
      setDocument((await response.json()) as Document);
    } catch (reason) {
      setError(reason instanceof Error ? reason.message : String(reason));
    }
  }

  useEffect(() => void load(), []);
  useEffect(() => {
    if (document && location.hash) window.document.getElementById(location.hash.slice(1))?.scrollIntoView();
  }, [document]);

  return (
    <div class="shell">
      <header class="topbar">
        <div class="bar">
          <a class="brand" href="/">joulegate</a>
          <nav aria-label="Pages"><a href="/">Dashboard</a><a href="/docs" aria-current="page">API</a></nav>
          <div class="tools">
            <a class="tool" href="/openapi.json">openapi.json</a>
            <ThemeToggle />
          </div>
        </div>
      </header>
      {document ? (
        <div class="docs">
          <nav class="docs-nav" aria-label="Operations">
            <label class="field">
              <span>Find</span>
              <input type="search" placeholder="Path or words" onInput={(event) => setWanted(event.currentTarget.value)} />
            </label>
            <Contents document={document} wanted={wanted} />
          </nav>
          <main id="main">
            <h1>{document.info.title} API <small>{document.info.version}</small></h1>
            <Prose text={document.info.description ?? ''} />
            <Operations document={document} wanted={wanted} />
            <Schemas document={document} />
          </main>
        </div>
      ) : (
        <main id="main">
          <h1 class="unseen">joulegate API</h1>
          {error ? <Failure what="The document" why={error} retry={() => void load()} /> : <Loading what="the document" />}
        </main>
      )}
    </div>
  );
}

function Contents({ document, wanted }: { document: Document; wanted: string }) {
  return (
    <>
      {document.tags.map((tag) => (
        <div key={tag.name}>
          <h2>{tag.name}</h2>
          <ul>
            {operationsOf(document, tag.name, wanted).map(({ id, method, path }) => (
              <li key={id}><a href={`#${id}`}><b class={`method ${method}`}>{method}</b> {path}</a></li>
            ))}
          </ul>
        </div>
      ))}
    </>
  );
}

const root = document.getElementById('app');
if (root) {
  root.textContent = '';
  render(<Page />, root);
}
