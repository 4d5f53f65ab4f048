import type { Document, Schema } from './openapi';
import { nameOf } from './openapi';
import { Line, Prose } from './prose';

export function Schemas({ document }: { document: Document }) {
  return (
    <section aria-labelledby="types">
      <h2 id="types">Types</h2>
      {Object.entries(document.components.schemas).map(([name, schema]) => (
        <details key={name} id={`type-${name}`} class="type">
          <summary>{name}</summary>
          {schema.description && <Prose text={schema.description} />}
          <Fields schema={schema} />
        </details>
      ))}
    </section>
  );
}

function Fields({ schema }: { schema: Schema }) {
  if (!schema.properties) return <p><Type schema={schema} /></p>;
  return (
    <div class="scroll-x" tabIndex={0} role="group" aria-label="Fields">
      <table class="table">
        <thead><tr><th scope="col">Field</th><th scope="col">Type</th><th scope="col">Meaning</th></tr></thead>
        <tbody>
          {Object.entries(schema.properties).map(([field, of]) => (
            <tr key={field}>
              <th scope="row" class="id">{field}{!schema.required?.includes(field) && <span class="dim"> optional</span>}</th>
              <td><Type schema={of} /></td>
              <td class="text"><Line text={meaning(of)} /></td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function meaning(schema: Schema): string {
  return schema.description ?? [...(schema.anyOf ?? []), ...(schema.oneOf ?? [])].map(meaning).filter(Boolean).join(' ');
}

/** A schema as a short expression, with links to the types that it names. */
export function Type({ schema }: { schema: Schema }) {
  if (schema.$ref) return <a href={`#type-${nameOf(schema.$ref)}`} onClick={reveal}>{nameOf(schema.$ref)}</a>;
  const several = schema.anyOf ?? schema.oneOf ?? schema.allOf;
  if (several) {
    return <>{several.map((one, index) => <span key={index}>{index > 0 && (schema.allOf ? ' & ' : ' or ')}<Type schema={one} /></span>)}</>;
  }
  if (schema.enum) return <>{schema.enum.map((value, index) => <span key={index}>{index > 0 && ' | '}<code>{String(value)}</code></span>)}</>;
  if (schema.const !== undefined) return <code>{String(schema.const)}</code>;
  if (schema.items) return <>list of <Type schema={schema.items} /></>;
  if (typeof schema.additionalProperties === 'object') return <>map to <Type schema={schema.additionalProperties} /></>;
  return <>{[schema.type].flat().filter(Boolean).join(' or ') || 'any'}{limits(schema)}</>;
}

function limits({ format, minimum, maximum }: Schema): string {
  const range = minimum !== undefined || maximum !== undefined ? ` ${minimum ?? ''}…${maximum ?? ''}` : '';
  return `${format ? ` (${format})` : ''}${range}`;
}

/** Opens the type that a link leads to. */
export function reveal(event: Event): void {
  const id = (event.currentTarget as HTMLAnchorElement).hash.slice(1);
  const target = document.getElementById(id);
  if (target instanceof HTMLDetailsElement) target.open = true;
}
