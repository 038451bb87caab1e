package recipes;

import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.locks.InterProcessReadWriteLock;
import org.apache.curator.framework.recipes.locks.InterProcessSemaphoreV2;
import org.apache.curator.framework.recipes.locks.Lease;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;

/** Never more holders than a lock admits. */
final class Locks {
    private static final int CLIENTS = 5;
    private static final int LEASES = 3;

    private Locks() {
    }

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("mutex", Locks::mutex);
        scenarios.put("read-write-lock", Locks::readWriteLock);
        scenarios.put("semaphore", Locks::semaphore);
    }

    private static void mutex(Lab lab) throws Exception {
        Exclusive inside = new Exclusive(lab, 1);
        AtomicInteger writes = new AtomicInteger();
        CuratorFramework observer = lab.client();
        String fenced = lab.node(observer, "fence", "");
        for (int i = 0; i < CLIENTS; i++) {
            CuratorFramework client = lab.client();
            InterProcessMutex mutex = new InterProcessMutex(client, lab.path("lock"));
            Fence fence = new Fence(client, fenced);
            lab.work("holder " + i, l -> {
                mutex.acquire();
                inside.enter();
                fence.take();
                // Again, as the one who holds it may.
                mutex.acquire();
                for (int n = 0; n < 3; n++) {
                    lab.never(!fence.write(), "two hold the mutex: the fence has another's write");
                    writes.incrementAndGet();
                }
                mutex.release();
                inside.leave();
                mutex.release();
            });
        }
        lab.underFire();
        Lab.sync(observer);
        Lab.same(writes.get(), observer.checkExists().forPath(fenced).getVersion(), "writes to the fence");
        Lab.same(List.of(), observer.getChildren().forPath(lab.path("lock")), "what the holders left");
    }

    private static void readWriteLock(Lab lab) throws Exception {
        Exclusive writers = new Exclusive(lab, 1);
        Exclusive readers = new Exclusive(lab, CLIENTS);
        CuratorFramework observer = lab.client();
        String fenced = lab.node(observer, "fence", "");
        for (int i = 0; i < CLIENTS; i++) {
            CuratorFramework client = lab.client();
            InterProcessReadWriteLock lock = new InterProcessReadWriteLock(client, lab.path("lock"));
            Fence fence = new Fence(client, fenced);
            boolean writes = i < 2;
            lab.work((writes ? "writer " : "reader ") + i, l -> {
                if (writes) {
                    lock.writeLock().acquire();
                    writers.enter();
                    lab.never(readers.inside() > 0, "somebody reads while somebody writes");
                    fence.take();
                    for (int n = 0; n < 3; n++) {
                        lab.never(!fence.write(), "two write: the fence has another's write");
                    }
                    lab.never(readers.inside() > 0, "somebody reads while somebody writes");
                    writers.leave();
                    lock.writeLock().release();
                } else {
                    lock.readLock().acquire();
                    readers.enter();
                    int first = client.checkExists().forPath(fenced).getVersion();
                    Thread.sleep(3);
                    int last = client.checkExists().forPath(fenced).getVersion();
                    lab.never(first != last, "somebody writes while somebody reads: version " + first + ", then " + last);
                    lab.never(writers.inside() > 0, "somebody writes while somebody reads");
                    readers.leave();
                    lock.readLock().release();
                }
            });
        }
        lab.underFire();
        Lab.check(readers.seen() > 1, "several read at once");
    }

    private static void semaphore(Lab lab) throws Exception {
        Exclusive inside = new Exclusive(lab, LEASES);
        CuratorFramework observer = lab.client();
        String holders = lab.node(observer, "holders", "");
        for (int i = 0; i < CLIENTS; i++) {
            CuratorFramework client = lab.client();
            InterProcessSemaphoreV2 semaphore = new InterProcessSemaphoreV2(client, lab.path("semaphore"), LEASES);
            String mine = holders + "/" + i;
            lab.work("holder " + i, l -> {
                Lease lease = semaphore.acquire();
                inside.enter();
                try {
                    client.create().withMode(CreateMode.EPHEMERAL).forPath(mine);
                } catch (KeeperException.NodeExistsException sentAgain) {
                    // Nobody else makes it.
                }
                int all = client.getChildren().forPath(holders).size();
                lab.never(all > LEASES, all + " znodes of holders of " + LEASES + " leases");
                // Longer than it takes to get a lease.
                Thread.sleep(40);
                try {
                    client.delete().forPath(mine);
                } catch (KeeperException.NoNodeException sentAgain) {
                    // Nobody else deletes it.
                }
                inside.leave();
                semaphore.returnLease(lease);
            });
        }
        lab.underFire();
        Lab.check(inside.seen() > 1, "several hold a lease at once");
    }
}
