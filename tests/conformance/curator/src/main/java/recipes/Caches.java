package recipes;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.recipes.cache.ChildData;
import org.apache.curator.framework.recipes.cache.NodeCache;
import org.apache.curator.framework.recipes.cache.PathChildrenCache;
import org.apache.curator.framework.recipes.cache.TreeCache;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.data.Stat;

/** In the end a cache has what the tree has, and on its way there it never goes back. */
final class Caches {
    private static final int CACHES = 3;
    private static final int WRITERS = 3;

    private Caches() {
    }

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("path-children-cache", Caches::children);
        scenarios.put("tree-cache", Caches::tree);
        scenarios.put("node-cache", Caches::node);
    }

    /** The newest write that a cache has told of, for each path. */
    private static final class History {
        private final Lab lab;
        private final Map<String, Long> newest = new ConcurrentHashMap<>();

        History(Lab lab) {
            this.lab = lab;
        }

        void saw(ChildData data) {
            long zxid = data.getStat().getMzxid();
            Long before = newest.put(data.getPath(), zxid);
            lab.never(before != null && before > zxid, "a cache went back at " + data.getPath() + " from " + before + " to " + zxid);
        }
    }

    private static void children(Lab lab) throws Exception {
        CuratorFramework observer = lab.client();
        String folder = lab.node(observer, "folder", "");
        List<PathChildrenCache> caches = new ArrayList<>();
        for (int i = 0; i < CACHES; i++) {
            History history = new History(lab);
            PathChildrenCache cache = new PathChildrenCache(lab.client(), folder, true);
            cache.getListenable().addListener((client, event) -> {
                switch (event.getType()) {
                    case CHILD_ADDED:
                    case CHILD_UPDATED:
                        history.saw(event.getData());
                        break;
                    default:
                        break;
                }
            });
            cache.start();
            caches.add(cache);
        }
        for (int i = 0; i < WRITERS; i++) {
            change(lab, "writer " + i, random -> folder + "/" + random.nextInt(30));
        }
        lab.underFire();
        for (PathChildrenCache cache : caches) {
            becomes(read(observer, folder, false), () -> {
                Map<String, String> found = new TreeMap<>();
                cache.getCurrentData().forEach(data -> found.put(data.getPath(), told(data.getData(), data.getStat())));
                return found;
            });
            cache.close();
        }
    }

    private static void tree(Lab lab) throws Exception {
        CuratorFramework observer = lab.client();
        String root = lab.node(observer, "tree", "");
        List<TreeCache> caches = new ArrayList<>();
        for (int i = 0; i < CACHES; i++) {
            History history = new History(lab);
            TreeCache cache = new TreeCache(lab.client(), root);
            cache.getListenable().addListener((client, event) -> {
                switch (event.getType()) {
                    case NODE_ADDED:
                    case NODE_UPDATED:
                        history.saw(event.getData());
                        break;
                    default:
                        break;
                }
            });
            cache.start();
            caches.add(cache);
        }
        for (int i = 0; i < WRITERS; i++) {
            change(lab, "writer " + i, random -> {
                StringBuilder path = new StringBuilder(root);
                for (int depth = 1 + random.nextInt(3); depth > 0; depth--) {
                    path.append("/").append(random.nextInt(4));
                }
                return path.toString();
            });
        }
        lab.underFire();
        for (TreeCache cache : caches) {
            becomes(read(observer, root, true), () -> {
                Map<String, String> found = new TreeMap<>();
                gather(cache, root, found);
                return found;
            });
            cache.close();
        }
    }

    private static void node(Lab lab) throws Exception {
        CuratorFramework observer = lab.client();
        String path = lab.node(observer, "folder", "") + "/node";
        List<NodeCache> caches = new ArrayList<>();
        for (int i = 0; i < CACHES; i++) {
            NodeCache cache = new NodeCache(lab.client(), path);
            History history = new History(lab);
            cache.getListenable().addListener(() -> {
                ChildData now = cache.getCurrentData();
                if (now != null) {
                    history.saw(now);
                }
            });
            cache.start();
            caches.add(cache);
        }
        change(lab, "writer", random -> path);
        lab.underFire();
        for (NodeCache cache : caches) {
            becomes(read(observer, lab.path("folder"), false), () -> {
                ChildData now = cache.getCurrentData();
                return now == null ? Map.of() : Map.of(path, told(now.getData(), now.getStat()));
            });
            cache.close();
        }
    }

    @FunctionalInterface
    private interface Choice {
        String path(Random random);
    }

    /** Creates, sets and deletes at random. */
    private static void change(Lab lab, String name, Choice choice) throws Exception {
        CuratorFramework client = lab.client();
        Random random = new Random(name.hashCode());
        int[] number = {0};
        lab.work(name, l -> {
            String path = choice.path(random);
            byte[] data = Lab.bytes(name + " " + number[0]++);
            try {
                switch (random.nextInt(5)) {
                    case 0:
                        client.delete().deletingChildrenIfNeeded().forPath(path);
                        break;
                    case 1:
                    case 2:
                        client.create().creatingParentsIfNeeded().forPath(path, data);
                        break;
                    default:
                        client.setData().forPath(path, data);
                        break;
                }
            } catch (KeeperException.NoNodeException | KeeperException.NodeExistsException | KeeperException.NotEmptyException another) {
                // Another writer was first.
            }
            Thread.sleep(2);
        });
    }

    /** What is below a znode, each with what it holds. */
    private static Map<String, String> read(CuratorFramework client, String folder, boolean deep) throws Exception {
        Lab.sync(client);
        Map<String, String> found = new TreeMap<>();
        read(client, folder, deep, found);
        return found;
    }

    private static void read(CuratorFramework client, String folder, boolean deep, Map<String, String> found) throws Exception {
        for (String name : client.getChildren().forPath(folder)) {
            String path = folder + "/" + name;
            Stat stat = new Stat();
            byte[] data = client.getData().storingStatIn(stat).forPath(path);
            found.put(path, told(data, stat));
            if (deep) {
                read(client, path, true, found);
            }
        }
    }

    private static void gather(TreeCache cache, String folder, Map<String, String> found) {
        Map<String, ChildData> children = cache.getCurrentChildren(folder);
        if (children == null) {
            return;
        }
        children.forEach((name, data) -> {
            found.put(data.getPath(), told(data.getData(), data.getStat()));
            gather(cache, data.getPath(), found);
        });
    }

    private static String told(byte[] data, Stat stat) {
        return Lab.text(data) + ", version " + stat.getVersion() + ", written by " + stat.getMzxid() + ", made by " + stat.getCzxid();
    }

    private static void becomes(Map<String, String> expected, Callable<Map<String, String>> cache) throws Exception {
        try {
            Lab.await("a cache has what the tree has", () -> cache.call().equals(expected));
        } catch (AssertionError differs) {
            Map<String, String> found = cache.call();
            Map<String, String> wrong = new TreeMap<>(found);
            wrong.entrySet().removeAll(expected.entrySet());
            Map<String, String> missing = new TreeMap<>(expected);
            missing.entrySet().removeAll(found.entrySet());
            throw new AssertionError("a cache has " + wrong + " and not " + missing, differs);
        }
    }
}
