package recipes;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.leader.LeaderSelector;
import org.apache.curator.framework.recipes.leader.LeaderSelectorListenerAdapter;
import org.apache.zookeeper.KeeperException;

/** Never two leaders, and always one in the end. */
final class Leaders {
    private static final int CANDIDATES = 4;

    private Leaders() {
    }

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("leader-latch", Leaders::latch);
        scenarios.put("leader-selector", Leaders::selector);
    }

    /**
     * A latch of this Curator may go on claiming to lead when its connection was lost and came back (CURATOR-644, mended in 5.4), so whoever
     * claims it looks which candidate's znode is the first, too. As long as that is its own, nobody else may write to the fence.
     */
    private static void latch(Lab lab) throws Exception {
        CuratorFramework observer = lab.client();
        String fenced = lab.node(observer, "fence", "");
        String candidates = lab.path("latch");
        AtomicInteger writes = new AtomicInteger();
        AtomicInteger staleClaims = new AtomicInteger();
        List<LeaderLatch> latches = new ArrayList<>();
        for (int i = 0; i < CANDIDATES; i++) {
            CuratorFramework client = lab.client();
            String id = "candidate " + i;
            Fence fence = new Fence(client, fenced);
            int place = i;
            latches.add(startLatch(client, candidates, id));
            lab.work("candidate " + i, l -> {
                LeaderLatch latch = latches.get(place);
                if (!latch.hasLeadership()) {
                    Thread.sleep(2);
                    return;
                }
                String before = first(client, candidates, id);
                if (before == null) {
                    staleClaims.incrementAndGet();
                    Thread.sleep(2);
                    return;
                }
                fence.takeOver();
                boolean alone = fence.write() && fence.write();
                lab.never(!alone && before.equals(first(client, candidates, id)), id + " leads, and the fence has another's write");
                if (writes.incrementAndGet() % 20 == 0) {
                    latch.close();
                    latches.set(place, startLatch(client, candidates, id));
                }
            });
        }
        lab.work("the leaders", l -> {
            int before = writes.get();
            Lab.await("somebody leads", () -> lab.ends() || writes.get() > before + 5);
        });
        lab.underFire();
        Lab.await("one leads in the end", () -> {
            List<String> leading = new ArrayList<>();
            latches.stream().filter(LeaderLatch::hasLeadership).forEach(latch -> leading.add(latch.getId()));
            return first(observer, candidates, null) != null && leading.size() == 1
                    && first(observer, candidates, leading.get(0)) != null;
        });
        lab.measure("writes=" + writes + " stale-claims=" + staleClaims);
    }

    private static LeaderLatch startLatch(CuratorFramework client, String path, String id) throws Exception {
        LeaderLatch latch = new LeaderLatch(client, path, id);
        latch.start();
        return latch;
    }

    /** The first candidate's znode, if it is of this one, or of anyone. */
    private static String first(CuratorFramework client, String candidates, String id) throws Exception {
        try {
            String first = null;
            for (String name : client.getChildren().forPath(candidates)) {
                if (first == null || number(name).compareTo(number(first)) < 0) {
                    first = name;
                }
            }
            boolean isOf = first != null && (id == null || Lab.text(client.getData().forPath(candidates + "/" + first)).equals(id));
            return isOf ? first : null;
        } catch (KeeperException.NoNodeException nobodyYetOrGone) {
            return null;
        }
    }

    private static String number(String name) {
        return name.substring(name.lastIndexOf('-') + 1);
    }

    private static void selector(Lab lab) throws Exception {
        CuratorFramework observer = lab.client();
        String fenced = lab.node(observer, "fence", "");
        Exclusive leading = new Exclusive(lab, 1);
        AtomicIntegerArray terms = new AtomicIntegerArray(CANDIDATES);
        List<LeaderSelector> selectors = new ArrayList<>();
        for (int i = 0; i < CANDIDATES; i++) {
            CuratorFramework client = lab.client();
            Fence fence = new Fence(client, fenced);
            int place = i;
            LeaderSelector selector = new LeaderSelector(client, lab.path("selector"), new LeaderSelectorListenerAdapter() {
                @Override
                public void takeLeadership(CuratorFramework with) throws Exception {
                    leading.enter();
                    try {
                        fence.take();
                        for (int n = 0; n < 3; n++) {
                            lab.never(!fence.write(), "two lead: the fence has another's write");
                        }
                        terms.incrementAndGet(place);
                    } finally {
                        leading.leave();
                    }
                }
            });
            selector.autoRequeue();
            selector.start();
            selectors.add(selector);
            lab.work("candidate " + i, l -> {
                int before = terms.get(place);
                Lab.await("candidate " + place + " leads again", () -> lab.ends() || terms.get(place) > before);
            });
        }
        lab.underFire();
        selectors.forEach(LeaderSelector::close);
    }
}
