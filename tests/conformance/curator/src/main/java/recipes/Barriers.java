package recipes;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.recipes.barriers.DistributedBarrier;
import org.apache.curator.framework.recipes.barriers.DistributedDoubleBarrier;
import org.apache.zookeeper.KeeperException;

/** Nobody passes before everybody may. */
final class Barriers {
    private static final int WAITING = 3;
    /** Long enough for the others to pass, were they let. */
    private static final int LATE_MILLIS = 100;

    private Barriers() {
    }

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("barrier", Barriers::barrier);
        scenarios.put("double-barrier", Barriers::doubleBarrier);
    }

    private static List<CuratorFramework> clients(Lab lab) throws Exception {
        List<CuratorFramework> clients = new ArrayList<>();
        for (int i = 0; i < WAITING; i++) {
            clients.add(lab.client());
        }
        return clients;
    }

    private static void barrier(Lab lab) throws Exception {
        String path = lab.path("barrier");
        DistributedBarrier barrier = new DistributedBarrier(lab.client(), path);
        List<CuratorFramework> clients = clients(lab);
        ExecutorService threads = Executors.newCachedThreadPool();
        lab.work("the barrier", l -> {
            barrier.setBarrier();
            AtomicBoolean isOpen = new AtomicBoolean();
            AtomicInteger there = new AtomicInteger();
            List<Future<Void>> waiting = new ArrayList<>();
            for (CuratorFramework client : clients) {
                waiting.add(threads.submit(() -> {
                    // Without it the client's server may not have the barrier yet.
                    Lab.sync(client);
                    there.incrementAndGet();
                    DistributedBarrier mine = new DistributedBarrier(client, path);
                    Lab.check(mine.waitOnBarrier(Lab.PATIENCE_SECONDS, TimeUnit.SECONDS), "the barrier opens");
                    lab.never(!isOpen.get(), "somebody passed a barrier that is there");
                    return null;
                }));
            }
            Lab.await("all wait", () -> there.get() == WAITING);
            Thread.sleep(30);
            isOpen.set(true);
            barrier.removeBarrier();
            for (Future<Void> one : waiting) {
                one.get();
            }
        });
        lab.underFire();
        threads.shutdown();
    }

    /**
     * Whoever loses its connection inside is told so, and the others would wait, or leave without it: such a round is given up. Each round
     * has a barrier of its own.
     */
    private static void doubleBarrier(Lab lab) throws Exception {
        List<CuratorFramework> clients = clients(lab);
        ExecutorService threads = Executors.newCachedThreadPool();
        AtomicInteger rounds = new AtomicInteger();
        AtomicInteger givenUp = new AtomicInteger();
        lab.work("the barrier", l -> {
            while (!round(lab, threads, clients, lab.path("barrier-" + rounds.incrementAndGet()))) {
                givenUp.incrementAndGet();
            }
        });
        lab.underFire();
        threads.shutdown();
        lab.measure("rounds=" + rounds + " given-up=" + givenUp);
        Lab.check(givenUp.get() <= 2 * lab.disconnections.get(), "rounds are given up only where a connection was lost");
    }

    private static boolean round(Lab lab, ExecutorService threads, List<CuratorFramework> clients, String path) throws Exception {
        AtomicInteger entering = new AtomicInteger();
        AtomicInteger leaving = new AtomicInteger();
        AtomicBoolean leftEarly = new AtomicBoolean();
        List<Future<Boolean>> members = new ArrayList<>();
        for (CuratorFramework client : clients) {
            // The last one comes, and goes, when the others have waited for a while.
            boolean isLate = members.size() == WAITING - 1;
            members.add(threads.submit(() -> {
                DistributedDoubleBarrier barrier = new DistributedDoubleBarrier(client, path, WAITING);
                Thread.sleep(isLate ? LATE_MILLIS : 0);
                entering.incrementAndGet();
                try {
                    if (!barrier.enter(10, TimeUnit.SECONDS)) {
                        return false;
                    }
                    lab.never(entering.get() < WAITING, "somebody entered before all were there");
                    Thread.sleep(isLate ? LATE_MILLIS : 0);
                    leaving.incrementAndGet();
                    if (!barrier.leave(10, TimeUnit.SECONDS)) {
                        return false;
                    }
                    leftEarly.compareAndSet(false, leaving.get() < WAITING);
                    return true;
                } catch (KeeperException.ConnectionLossException | KeeperException.NodeExistsException | KeeperException.NoNodeException lost) {
                    // Its request was done, the connection was lost, and it was sent again.
                    return false;
                }
            }));
        }
        boolean isWhole = true;
        for (Future<Boolean> member : members) {
            try {
                isWhole &= member.get();
            } catch (ExecutionException failure) {
                throw new AssertionError("a member of the barrier failed", failure.getCause());
            }
        }
        lab.never(isWhole && leftEarly.get(), "somebody left before all did");
        return isWhole;
    }
}
