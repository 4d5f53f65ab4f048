/** Paragraphs, lists and `code` of the document's descriptions: all of Markdown that it uses. */
export function Prose({ text }: { text: string }) {
  return (
    <>
      {text.split(/\n\s*\n/).map((block) => {
        const lines = block.split('\n');
        return lines.every((line) => line.startsWith('- ')) ? (
          <ul key={block}>
            {lines.map((line) => <li key={line}><Line text={line.slice(2)} /></li>)}
          </ul>
        ) : (
          <p key={block}><Line text={block.replace(/\n/g, ' ')} /></p>
        );
      })}
    </>
  );
}

export function Line({ text }: { text: string }) {
  return <>{text.split('`').map((part, index) => (index % 2 === 1 ? <code key={index}>{part}</code> : part))}</>;
}
