// What one page alone needs: loaded when its key changes, when the stream began anew, or when asked; the old answer stays until then.

import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { inWords, isAbort } from './api';
import { synced } from './state';

export interface Load<T> {
  value: T | null;
  error: string | null;
  isLoading: boolean;
  again: () => void;
}

/** A stream that begins does not ask again for what was just loaded, as it does when a page opens. */
const FRESH_MS = 5000;

export function useLoad<T>(key: string, load: (abort: AbortSignal) => Promise<T>): Load<T> {
  const [answer, setAnswer] = useState<{ key: string; value: T } | null>(null);
  const [error, setError] = useState<string | null>(null);
  const [isLoading, setLoading] = useState(true);
  const [asked, setAsked] = useState(0);
  const done = useRef({ key: '', asked: -1, at: 0 });
  const latest = useRef(load);
  latest.current = load;
  const sync = synced.value;

  useEffect(() => {
    const last = done.current;
    if (last.key === key && last.asked === asked && Date.now() - last.at < FRESH_MS) return undefined;
    const abort = new AbortController();
    setLoading(true);
    latest
      .current(abort.signal)
      .then((value) => {
        done.current = { key, asked, at: Date.now() };
        setAnswer({ key, value });
        setError(null);
        setLoading(false);
      })
      .catch((reason: unknown) => {
        if (isAbort(reason) || abort.signal.aborted) return;
        setError(inWords(reason));
        setLoading(false);
      });
    return () => abort.abort();
  }, [key, asked, sync]);

  const again = useCallback(() => setAsked((count) => count + 1), []);
  return { value: answer?.key === key ? answer.value : null, error, isLoading, again };
}
