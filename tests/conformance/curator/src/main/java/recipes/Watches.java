package recipes;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CopyOnWriteArrayList;
import org.apache.zookeeper.WatchedEvent;
import org.apache.zookeeper.Watcher;
import org.apache.zookeeper.Watcher.Event.KeeperState;

/** What happened while a client was away is told when it comes back, once, and watches that have not fired go on. */
final class Watches {
    /** So many long paths take several requests of the client's to set again. */
    private static final int MANY = 3000;

    private Watches() {
    }

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("watches-at-a-server-that-returns", lab -> away(lab, true));
        scenarios.put("watches-at-another-server", lab -> away(lab, false));
        scenarios.put("many-watches", Watches::many);
    }

    /** One watch, and what it was told besides the state of the connection. */
    static final class Spy implements Watcher {
        private final List<String> events = new CopyOnWriteArrayList<>();

        @Override
        public void process(WatchedEvent event) {
            if (event.getType() != Event.EventType.None) {
                events.add(event.getType() + " " + event.getPath());
            }
        }

        int count() {
            return events.size();
        }

        String told() {
            return String.join(", ", events);
        }
    }

    private static void away(Lab lab, boolean sameServer) throws Exception {
        Client observer = Client.connect(lab, lab.servers);
        observer.make(lab.root, "");
        for (String name : List.of("changed", "unchanged", "deleted", "parent", "quiet-parent", "deleted-parent", "seen")) {
            observer.make(lab.path(name), "");
        }
        Client client = Client.connect(lab, lab.servers);
        if (sameServer) {
            String server = client.server();
            client.close();
            client = Client.connect(lab, server);
        }
        Client away = client;
        away.sync("/");
        Spy[] spies = new Spy[9];
        for (int i = 0; i < spies.length; i++) {
            spies[i] = new Spy();
        }
        away.getData(lab.path("changed"), spies[0], null);
        away.getData(lab.path("unchanged"), spies[1], null);
        away.getData(lab.path("deleted"), spies[2], null);
        away.exists(lab.path("created"), spies[3]);
        away.exists(lab.path("not-created"), spies[4]);
        away.getChildren(lab.path("parent"), spies[5]);
        away.getChildren(lab.path("quiet-parent"), spies[6]);
        away.getChildren(lab.path("deleted-parent"), spies[7]);
        // Its change was before it was read.
        Client.again(() -> observer.setData(lab.path("seen"), Lab.bytes("new"), -1));
        away.sync("/");
        away.getData(lab.path("seen"), spies[8], null);

        String server = away.server();
        lab.harness.ask("kill " + server);
        Lab.await("it is disconnected", () -> away.states().contains(KeeperState.Disconnected));
        change(lab, observer);
        if (sameServer) {
            lab.harness.ask("bring back");
        }
        List<String> expected = List.of(
                "NodeDataChanged " + lab.path("changed"), "", "NodeDeleted " + lab.path("deleted"),
                "NodeCreated " + lab.path("created"), "", "NodeChildrenChanged " + lab.path("parent"), "",
                "NodeDeleted " + lab.path("deleted-parent"), "");
        become(expected, spies);
        away.connected();

        // Those that have fired are no more, and the others are still there.
        change(lab, observer);
        Client.again(() -> observer.setData(lab.path("unchanged"), Lab.bytes("new"), -1));
        Client.again(() -> observer.setData(lab.path("seen"), Lab.bytes("newer"), -1));
        observer.make(lab.path("not-created"), "");
        observer.make(lab.path("quiet-parent/child"), "");
        List<String> then = new ArrayList<>(expected);
        then.set(1, "NodeDataChanged " + lab.path("unchanged"));
        then.set(4, "NodeCreated " + lab.path("not-created"));
        then.set(6, "NodeChildrenChanged " + lab.path("quiet-parent"));
        then.set(8, "NodeDataChanged " + lab.path("seen"));
        become(then, spies);
        away.sync("/");
        become(then, spies);
        if (!sameServer) {
            lab.harness.ask("bring back");
        }
    }

    private static void change(Lab lab, Client observer) throws Exception {
        Client.again(() -> observer.setData(lab.path("changed"), Lab.bytes("new"), -1));
        for (String name : List.of("deleted", "deleted-parent")) {
            if (Client.again(() -> observer.exists(lab.path(name), false)) == null) {
                observer.make(lab.path(name), "");
            } else {
                observer.remove(lab.path(name));
            }
        }
        observer.make(lab.path("created"), "");
        observer.make(lab.path("parent/child-" + System.nanoTime()), "");
    }

    private static void become(List<String> expected, Spy[] spies) throws Exception {
        List<String> told = new ArrayList<>();
        try {
            Lab.await("the watches fire", () -> {
                told.clear();
                for (Spy spy : spies) {
                    told.add(spy.told());
                }
                return told.equals(expected);
            });
        } catch (AssertionError differs) {
            throw new AssertionError("expected " + expected + ", the watches were told " + told, differs);
        }
    }

    private static void many(Lab lab) throws Exception {
        Client observer = Client.connect(lab, lab.servers);
        observer.make(lab.root, "");
        Client away = Client.connect(lab, lab.servers);
        String name = lab.path("x".repeat(100));
        List<Spy> spies = new ArrayList<>();
        for (int i = 0; i < MANY; i++) {
            spies.add(new Spy());
            // Every other one is there.
            if (i % 2 == 0) {
                away.make(name + i, "");
            }
            away.exists(name + i, spies.get(i));
        }
        lab.harness.ask("kill " + away.server());
        Lab.await("it is disconnected", () -> away.states().contains(KeeperState.Disconnected));
        for (int i = 0; i < MANY; i += 20) {
            int place = i;
            Client.again(() -> observer.setData(name + place, Lab.bytes("new"), -1));
            observer.make(name + (i + 1), "");
        }
        fired(spies, i -> i % 20 < 2);
        Lab.check(!away.states().contains(KeeperState.Expired), "the session goes on");
        away.connected().sync("/");
        for (int i = 0; i < MANY; i++) {
            int place = i;
            if (i % 2 == 0) {
                Client.again(() -> observer.setData(name + place, Lab.bytes("newer"), -1));
            } else {
                observer.make(name + i, "");
            }
        }
        fired(spies, i -> true);
        lab.harness.ask("bring back");
    }

    private static void fired(List<Spy> spies, java.util.function.IntPredicate which) throws Exception {
        Lab.await("each watch fires once whose znode was changed, and no other", () -> {
            for (int i = 0; i < spies.size(); i++) {
                if (spies.get(i).count() != (which.test(i) ? 1 : 0)) {
                    return false;
                }
            }
            return true;
        });
    }
}
