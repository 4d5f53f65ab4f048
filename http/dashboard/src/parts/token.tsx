import { useEffect, useRef } from 'preact/hooks';
import { setToken, tokenWanted } from '../lib/api';
import { reload } from '../lib/state';

/** Asks for a token when the API wants one. It is kept for this tab only. */
export function TokenPrompt() {
  const dialog = useRef<HTMLDialogElement>(null);
  const input = useRef<HTMLInputElement>(null);
  const wanted = tokenWanted.value;

  useEffect(() => {
    if (wanted && !dialog.current?.open) dialog.current?.showModal();
    if (!wanted && dialog.current?.open) dialog.current.close();
  }, [wanted]);

  function submit(event: Event): void {
    event.preventDefault();
    const value = input.current?.value.trim();
    if (!value) return;
    setToken(value);
    if (input.current) input.current.value = '';
    reload();
  }

  return (
    <dialog ref={dialog} class="dialog" aria-labelledby="token-title" onCancel={(event) => event.preventDefault()}>
      <form onSubmit={submit}>
        <h2 id="token-title">This service asks for a token</h2>
        <p>
          {wanted === 'wrong'
            ? 'The service does not know this token. Check it, or ask the operator of joulegate for a new one.'
            : 'Ask the operator of joulegate for one (the setting JOULEGATE_API_TOKENS). It is kept until this tab is closed.'}
        </p>
        <label class="field">
          <span>Token</span>
          <input ref={input} type="password" autocomplete="off" spellcheck={false} required />
        </label>
        <button type="submit" class="button primary">
          Open the dashboard
        </button>
      </form>
    </dialog>
  );
}
