import { render } from 'preact';
import { useEffect } from 'preact/hooks';
import { route } from './lib/route';
import { start } from './lib/state';
import { AlertsPage } from './pages/alerts';
import { FleetPage } from './pages/fleet';
import { HealthPage } from './pages/health';
import { VehiclePage } from './pages/vehicle';
import { VehiclesPage } from './pages/vehicles';
import { Shell } from './parts/shell';
import { Empty } from './parts/states';
import { TokenPrompt } from './parts/token';

function App() {
  const { page, id } = route.value;
  useEffect(() => {
    document.title = `${titleOf(page, id)} · joulegate`;
    scrollTo(0, 0);
  }, [page, id]);
  return (
    <>
      <Shell>{pageOf(page, id)}</Shell>
      <TokenPrompt />
    </>
  );
}

function titleOf(page: string, id: string): string {
  if (id) return id;
  return page ? page[0]?.toUpperCase() + page.slice(1) : 'Fleet';
}

function pageOf(page: string, id: string) {
  if (page === '') return <FleetPage />;
  if (page === 'vehicles') return id ? <VehiclePage key={id} id={id} /> : <VehiclesPage />;
  if (page === 'alerts') return <AlertsPage />;
  if (page === 'health') return <HealthPage />;
  return (
    <>
      <h1>No such page</h1>
      <Empty title="This address leads nowhere.">
        Go to the <a href="#/">fleet</a>.
      </Empty>
    </>
  );
}

start();
const root = document.getElementById('app');
if (root) {
  root.textContent = ''; // what the document showed until now
  render(<App />, root);
}
