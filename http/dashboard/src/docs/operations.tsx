import type { Document, Found, Operation, Parameter } from './openapi';
import { operationsOf } from './openapi';
import { Line, Prose } from './prose';
import { Type } from './schemas';

export function Operations({ document, wanted }: { document: Document; wanted: string }) {
  const sections = document.tags
    .map((tag) => ({ tag, found: operationsOf(document, tag.name, wanted) }))
    .filter(({ found }) => found.length > 0);
  if (sections.length === 0) return <p class="state">No operation has these words.</p>;
  return (
    <>
      {sections.map(({ tag, found }) => (
        <section key={tag.name} aria-labelledby={`tag-${tag.name}`}>
          <h2 id={`tag-${tag.name}`}>{tag.name}</h2>
          {tag.description && <p class="dim">{tag.description}</p>}
          {found.map((one) => <One key={one.id} {...one} />)}
        </section>
      ))}
    </>
  );
}

function One({ id, method, path, operation }: Found) {
  return (
    <article id={id} class="operation panel">
      <h3><b class={`method ${method}`}>{method}</b> <code>{path}</code></h3>
      <p><strong>{operation.summary}</strong>{operation.summary && '.'} <Line text={operation.description ?? ''} /></p>
      {operation.parameters && operation.parameters.length > 0 && <Parameters of={operation.parameters} />}
      <Body operation={operation} />
      <pre class="curl" tabIndex={0}>{curl(method, path, operation)}</pre>
      <Responses operation={operation} />
    </article>
  );
}

function Parameters({ of }: { of: Parameter[] }) {
  return (
    <div class="scroll-x" tabIndex={0} role="group" aria-label="Parameters">
      <table class="table">
        <thead><tr><th scope="col">Parameter</th><th scope="col">In</th><th scope="col">Type</th><th scope="col">Meaning</th></tr></thead>
        <tbody>
          {of.map((one) => (
            <tr key={one.name}>
              <th scope="row" class="id">{one.name}{one.required && <span class="dim"> required</span>}</th>
              <td>{one.in}</td>
              <td><Type schema={one.schema} />{one.schema.default !== undefined && <span class="dim"> default {String(one.schema.default)}</span>}</td>
              <td class="text"><Line text={one.description ?? ''} /></td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Body({ operation: { requestBody } }: { operation: Operation }) {
  if (!requestBody) return null;
  return (
    <p>
      Body: {Object.entries(requestBody.content).map(([media, { schema }]) => <span key={media}><code>{media}</code>, {schema && <Type schema={schema} />}</span>)}
    </p>
  );
}

function Responses({ operation }: { operation: Operation }) {
  return (
    <ul class="responses">
      {Object.entries(operation.responses).map(([status, response]) => {
        const [media, content] = Object.entries(response.content ?? {})[0] ?? [];
        const isGood = status.startsWith('2') || status.startsWith('3');
        const title = <><b class={isGood ? 'status good' : 'status'}>{status}</b> {content?.schema && isGood && <Type schema={content.schema} />} {media && <span class="dim">{media}</span>}</>;
        return (
          <li key={status}>
            {isGood ? <p>{title} <Line text={response.description} /></p> : <details><summary>{title}</summary><Prose text={response.description} /></details>}
          </li>
        );
      })}
    </ul>
  );
}

function curl(method: string, path: string, { parameters = [], requestBody }: Operation): string {
  const example = ({ schema }: Parameter) => String(schema.examples?.[0] ?? 'X');
  const filled = path.replace(/\{(.+?)\}/g, (_, name: string) => {
    const parameter = parameters.find((one) => one.name === name);
    return parameter ? example(parameter) : name;
  });
  const verb = method === 'get' ? '' : ` -X ${method.toUpperCase()}`;
  const body = requestBody ? ` -H 'Content-Type: application/json' -d '{...}'` : '';
  return `curl${verb}${body} ${location.origin}${filled}`;
}
