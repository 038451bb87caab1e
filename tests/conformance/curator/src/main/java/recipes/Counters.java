package recipes;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.recipes.atomic.AtomicValue;
import org.apache.curator.framework.recipes.atomic.DistributedAtomicLong;
import org.apache.curator.framework.recipes.shared.SharedCount;
import org.apache.curator.framework.recipes.shared.SharedCountListener;
import org.apache.curator.framework.recipes.shared.SharedCountReader;
import org.apache.curator.framework.recipes.shared.VersionedValue;
import org.apache.curator.framework.state.ConnectionState;
import org.apache.curator.retry.RetryNTimes;
import org.apache.zookeeper.KeeperException;

/**
 * No increment is lost, and none is done twice. The clients send nothing again by themselves, so that each increment is done, not done, or
 * known to be unknown.
 */
final class Counters {
    private static final int COUNTING = 4;

    private Counters() {
    }

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("atomic-long", Counters::atomicLong);
        scenarios.put("shared-count", Counters::sharedCount);
    }

    private static void atomicLong(Lab lab) throws Exception {
        String path = lab.path("counter");
        AtomicInteger unknown = new AtomicInteger();
        Set<Long> reached = ConcurrentHashMap.newKeySet();
        for (int i = 0; i < COUNTING; i++) {
            DistributedAtomicLong counter = new DistributedAtomicLong(lab.clientWithoutRetries(), path, new RetryNTimes(3, 5));
            lab.work("counter " + i, l -> {
                AtomicValue<Long> result;
                try {
                    result = counter.increment();
                } catch (KeeperException connectionLost) {
                    unknown.incrementAndGet();
                    Thread.sleep(50);
                    return;
                }
                if (result.succeeded()) {
                    lab.never(result.postValue() != result.preValue() + 1, "an increment from " + result.preValue() + " to " + result.postValue());
                    lab.never(!reached.add(result.postValue()), "two increments reached " + result.postValue());
                }
            });
        }
        lab.work("all", l -> {
            int before = reached.size();
            Lab.await("somebody counts", () -> lab.ends() || reached.size() > before + 5);
        });
        lab.underFire();
        CuratorFramework observer = lab.client();
        Lab.sync(observer);
        long value = new DistributedAtomicLong(observer, path, new RetryNTimes(10, 50)).get().postValue();
        bounded(lab, value, reached.size(), unknown.get());
    }

    private static void bounded(Lab lab, long value, int known, int unknown) {
        lab.measure("value=" + value + " known=" + known + " unknown=" + unknown);
        Lab.check(value >= known, "the counter has " + value + " of " + known + " increments");
        Lab.check(value <= known + unknown, "the counter has " + value + ", and only " + known + " increments and " + unknown + " unknown");
    }

    private static void sharedCount(Lab lab) throws Exception {
        String path = lab.path("counter");
        AtomicInteger unknown = new AtomicInteger();
        Set<Integer> reached = ConcurrentHashMap.newKeySet();
        List<SharedCount> counters = new ArrayList<>();
        for (int i = 0; i < COUNTING; i++) {
            SharedCount counter = new SharedCount(lab.clientWithoutRetries(), path, 0);
            watch(lab, counter);
            counter.start();
            counters.add(counter);
            lab.work("counter " + i, l -> {
                VersionedValue<Integer> before = counter.getVersionedValue();
                int next = before.getValue() + 1;
                try {
                    if (counter.trySetCount(before, next)) {
                        lab.never(!reached.add(next), "two increments reached " + next);
                    } else {
                        Thread.sleep(2);
                    }
                } catch (KeeperException connectionLost) {
                    unknown.incrementAndGet();
                    Thread.sleep(50);
                }
            });
        }
        lab.work("all", l -> {
            int before = reached.size();
            Lab.await("somebody counts", () -> lab.ends() || reached.size() > before + 5);
        });
        lab.underFire();
        CuratorFramework observer = lab.client();
        Lab.sync(observer);
        SharedCount judge = new SharedCount(observer, path, 0);
        judge.start();
        int value = judge.getCount();
        bounded(lab, value, reached.size(), unknown.get());
        for (SharedCount counter : counters) {
            Lab.await("each has the value in the end, without asking", () -> counter.getCount() == value);
            counter.close();
        }
        judge.close();
    }

    /** What a counter tells of never goes back. */
    private static void watch(Lab lab, SharedCount counter) {
        AtomicInteger newest = new AtomicInteger();
        counter.addListener(new SharedCountListener() {
            @Override
            public void countHasChanged(SharedCountReader which, int count) {
                int before = newest.getAndSet(count);
                lab.never(before > count, "a counter went back from " + before + " to " + count);
            }

            @Override
            public void stateChanged(CuratorFramework client, ConnectionState state) {
                // The lab looks after lost sessions.
            }
        });
    }
}
