package recipes;

import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.KeeperException.Code;
import org.apache.zookeeper.Op;
import org.apache.zookeeper.OpResult;
import org.apache.zookeeper.Watcher.Event.KeeperState;
import org.apache.zookeeper.ZooDefs.Ids;
import org.apache.zookeeper.data.Stat;

/** ZooKeeper's own client, without a recipe. */
final class Plain {
    private static final int PAIRS = 3;
    /** The shortest that a server grants with ticks of 2 s. */
    private static final int SHORT_SESSION_MILLIS = 4000;

    private Plain() {
    }

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("sync", Plain::sync);
        scenarios.put("moved-session", Plain::movedSession);
        scenarios.put("dead-client", Plain::deadClient);
        scenarios.put("multi", Plain::multi);
        scenarios.put("chroot", Plain::chroot);
        scenarios.put("read-only-flag", Plain::readOnlyFlag);
        scenarios.put("read-only-mode", Plain::readOnlyMode);
        scenarios.put("pipeline", Plain::pipeline);
    }

    /** Who synchronizes reads what was acknowledged to somebody else before, and nobody reads backwards. */
    private static void sync(Lab lab) throws Exception {
        Client observer = Client.connect(lab, lab.servers);
        observer.make(lab.root, "");
        for (int i = 0; i < PAIRS; i++) {
            String path = observer.make(lab.path("number-" + i), "0");
            Client writer = Client.connect(lab, lab.servers);
            Client synchronizing = Client.connect(lab, lab.servers);
            Client reading = Client.connect(lab, lab.servers);
            AtomicInteger number = new AtomicInteger();
            AtomicInteger seen = new AtomicInteger();
            reading.sync(path);
            lab.work("pair " + i, l -> {
                int written = number.incrementAndGet();
                Client.again(() -> writer.setData(path, Lab.bytes("" + written), -1));
                synchronizing.sync(path);
                int read = Integer.parseInt(synchronizing.read(path));
                lab.never(read < written, "after a sync " + read + " was read, and " + written + " had been acknowledged");
                int now = Integer.parseInt(reading.read(path));
                int before = seen.getAndSet(now);
                lab.never(now < before, "a client read " + before + ", then " + now);
            });
        }
        lab.underFire();
    }

    private static boolean isServed(Callable<?> request) throws Exception {
        try {
            request.call();
            return true;
        } catch (KeeperException.ConnectionLossException | KeeperException.SessionMovedException refused) {
            return false;
        }
    }

    private static void movedSession(Lab lab) throws Exception {
        String[] servers = lab.servers.split(",");
        Client observer = Client.connect(lab, lab.servers);
        observer.make(lab.root, "");
        for (String from : servers) {
            for (String to : servers) {
                if (!from.equals(to)) {
                    move(lab, observer, from, to);
                }
            }
        }
        // A server that dies takes no session with it.
        Client client = Client.connect(lab, lab.servers);
        long id = client.getSessionId();
        String ephemeral = client.make(lab.path("of-a-traveller"), "", CreateMode.EPHEMERAL);
        for (int i = 0; i < (lab.faults.isEmpty() ? 0 : 4); i++) {
            String before = client.server();
            lab.harness.ask("kill " + before);
            Stat stat = Client.again(() -> client.exists(ephemeral, false));
            Lab.same(id, stat == null ? null : stat.getEphemeralOwner(), "owner after its server was killed");
            Lab.same(id, client.getSessionId(), "session after its server was killed");
            Lab.check(!client.server().equals(before), "another server has it");
            lab.harness.ask("bring back");
        }
        Lab.check(!client.states().contains(KeeperState.Expired), "the session does not expire");
    }

    private static void move(Lab lab, Client observer, String from, String to) throws Exception {
        Client first = Client.connect(lab, from);
        long id = first.getSessionId();
        String ephemeral = first.make(lab.path("ephemeral"), "", CreateMode.EPHEMERAL);
        String data = observer.make(lab.path("data"), "");

        byte[] wrong = first.getSessionPasswd().clone();
        wrong[0] ^= 1;
        Client thief = Client.resume(lab, to, id, wrong, false);
        Lab.await("a wrong password ends it", () -> thief.states().contains(KeeperState.Expired));
        Lab.check(isServed(() -> first.setData(data, Lab.bytes("first"), -1)), "who has the password goes on");

        Client second = Client.resume(lab, to, id, first.getSessionPasswd(), false).connected();
        Lab.same(id, second.getSessionId(), "session");
        // Its own server may be behind the one that it was at; a client whose session moved has seen nothing yet.
        second.sync("/");
        Lab.same(id, second.exists(ephemeral, false).getEphemeralOwner(), "owner of what was made at " + from);
        Lab.check(!isServed(() -> first.setData(data, Lab.bytes("stale"), -1)), from + " does not serve a session that moved to " + to);
        // It connects again by itself, and would take the session back.
        first.abandon();
        Client.again(() -> second.setData(data, Lab.bytes("second"), -1));
        observer.sync(data);
        Lab.same("second", observer.read(data), "what was written last");
        second.connected().close();
        observer.sync("/");
        Lab.check(Client.again(() -> observer.exists(ephemeral, false)) == null, "what the session had made goes with it");
        Client late = Client.resume(lab, from, id, second.getSessionPasswd(), false);
        Lab.await("a session that was closed is not there", () -> late.states().contains(KeeperState.Expired));
    }

    /** What a client that is gone had made goes, not at once, and nobody else's. */
    private static void deadClient(Lab lab) throws Exception {
        Client observer = Client.connect(lab, lab.servers);
        observer.make(lab.root, "");
        AtomicInteger number = new AtomicInteger();
        Client living = Client.connect(lab, lab.servers, SHORT_SESSION_MILLIS, false);
        String lives = living.make(lab.path("living"), "", CreateMode.EPHEMERAL);
        Scenario dies = l -> {
            Client dead = Client.connect(lab, lab.servers, SHORT_SESSION_MILLIS, false);
            String path = dead.make(lab.path("dead-" + number.incrementAndGet()), "", CreateMode.EPHEMERAL);
            dead.abandon();
            Thread.sleep(1000);
            observer.sync(path);
            Lab.check(Client.again(() -> observer.exists(path, false)) != null, "it is there for its timeout");
            Lab.await("it goes", () -> Client.again(() -> observer.exists(path, false)) == null);
        };
        dies.run(lab);
        for (String fault : lab.faults) {
            lab.harness.ask(fault);
            dies.run(lab);
        }
        observer.sync(lives);
        Stat stat = Client.again(() -> observer.exists(lives, false));
        Lab.same(living.getSessionId(), stat == null ? null : stat.getEphemeralOwner(), "who lives");
    }

    private static void multi(Lab lab) throws Exception {
        Client client = Client.connect(lab, lab.servers);
        client.make(lab.root, "");
        String there = client.make(lab.path("there"), "old");
        List<OpResult> results = client.multi(List.of(
                Op.create(lab.path("new"), Lab.bytes("data"), Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT),
                Op.create(lab.path("new/child-"), new byte[0], Ids.OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL_SEQUENTIAL),
                Op.setData(there, Lab.bytes("changed"), 0),
                Op.check(there, 1),
                Op.delete(lab.path("new/child-0000000000"), 0)));
        Lab.same(lab.path("new"), ((OpResult.CreateResult) results.get(0)).getPath(), "path");
        Lab.same(lab.path("new/child-0000000000"), ((OpResult.CreateResult) results.get(1)).getPath(), "path");
        Lab.same(1, ((OpResult.SetDataResult) results.get(2)).getStat().getVersion(), "version");
        Lab.check(results.get(3) instanceof OpResult.CheckResult && results.get(4) instanceof OpResult.DeleteResult, "results: " + results);
        long zxid = client.exists(there, false).getMzxid();
        Lab.same(zxid, client.exists(lab.path("new"), false).getCzxid(), "one transaction");
        Lab.same(zxid, client.exists(lab.path("new"), false).getPzxid(), "one transaction");

        try {
            client.multi(List.of(
                    Op.setData(there, Lab.bytes("never"), 1),
                    Op.delete(lab.path("nowhere"), -1),
                    Op.create(lab.path("never"), new byte[0], Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT)));
            throw new AssertionError("a multi went through that has to fail");
        } catch (KeeperException.NoNodeException failed) {
            List<OpResult> told = failed.getResults();
            Lab.same(3, told.size(), "results");
            Lab.same(Code.OK.intValue(), ((OpResult.ErrorResult) told.get(0)).getErr(), "before the one that failed");
            Lab.same(Code.NONODE.intValue(), ((OpResult.ErrorResult) told.get(1)).getErr(), "the one that failed");
            Lab.same(Code.RUNTIMEINCONSISTENCY.intValue(), ((OpResult.ErrorResult) told.get(2)).getErr(), "after the one that failed");
        }
        Lab.same("changed", client.read(there), "nothing of it is done");
        Lab.check(client.exists(lab.path("never"), false) == null, "nothing of it is done");
        Lab.same(0, client.multi(List.of()).size(), "results of nothing");
        Lab.same(1, client.transaction().check(there, 1).commit().size(), "results of one");
    }

    private static void chroot(Lab lab) throws Exception {
        Client observer = Client.connect(lab, lab.servers);
        observer.make(lab.root, "");
        Client inside = Client.connect(lab, lab.servers + lab.root);
        observer.make(lab.path("watched"), "");
        inside.sync("/");
        Watches.Spy data = new Watches.Spy();
        Watches.Spy children = new Watches.Spy();
        Lab.check(inside.exists("/watched", data) != null, "it is there");
        Lab.same(List.of("watched"), inside.getChildren("/", children), "children of the root");
        if (!lab.faults.isEmpty()) {
            lab.harness.ask("kill " + inside.server());
            Lab.await("it is disconnected", () -> inside.states().contains(KeeperState.Disconnected));
        }
        Lab.same("/made", inside.make("/made", "data"), "path inside");
        Lab.same("data", observer.read(lab.path("made")), "what is there outside");
        Client.again(() -> observer.setData(lab.path("watched"), Lab.bytes("new"), -1));
        Lab.await("the watches fire", () -> data.count() == 1 && children.count() == 1);
        Lab.same("NodeDataChanged /watched", data.told(), "event inside");
        Lab.same("NodeChildrenChanged /", children.told(), "event inside");
        String sequential = inside.create("/s", new byte[0], Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_SEQUENTIAL);
        Lab.check(sequential.matches("/s[0-9]{10}"), "path inside: " + sequential);
        List<OpResult> results = inside.multi(List.of(
                Op.create("/m", new byte[0], Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT), Op.check("/made", 0), Op.delete("/watched", -1)));
        // The client leaves the chroot on what a multi has made.
        Lab.check(((OpResult.CreateResult) results.get(0)).getPath().endsWith("/m"), "path: " + results.get(0));
        Client nowhere = Client.connect(lab, lab.servers + lab.root + "/nowhere");
        try {
            nowhere.create("/a", new byte[0], Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
            throw new AssertionError("created where nothing is");
        } catch (KeeperException.NoNodeException asItShould) {
            // As with any parent that is missing.
        }
        if (!lab.faults.isEmpty()) {
            lab.harness.ask("bring back");
        }
    }

    /** A client that would take a read-only server gets one that writes. */
    private static void readOnlyFlag(Lab lab) throws Exception {
        Client client = Client.connect(lab, lab.servers, Lab.SESSION_MILLIS, true);
        client.make(lab.root, "");
        String ephemeral = client.make(lab.path("ephemeral"), "0", CreateMode.EPHEMERAL);
        AtomicInteger number = new AtomicInteger();
        lab.work("writer", l -> {
            String written = "" + number.incrementAndGet();
            Client.again(() -> client.setData(ephemeral, Lab.bytes(written), -1));
            Lab.same(written, client.read(ephemeral), "what was written");
            Thread.sleep(2);
        });
        lab.underFire();
        Client second = Client.resume(lab, lab.servers, client.getSessionId(), client.getSessionPasswd(), true).connected();
        client.abandon();
        second.sync("/");
        Lab.same(client.getSessionId(), Client.again(() -> second.exists(ephemeral, false)).getEphemeralOwner(), "session");
        Lab.check(!client.states().contains(KeeperState.ConnectedReadOnly), "never read-only");
        Lab.check(!client.states().contains(KeeperState.Expired), "never expired");
    }

    /** Who may be read-only reads what the last server has while nobody leads, in its own session, and writes when somebody does again. */
    private static void readOnlyMode(Lab lab) throws Exception {
        Client client = Client.connect(lab, lab.servers, Lab.SESSION_MILLIS, true);
        client.make(lab.root, "");
        String data = client.make(lab.path("data"), "old");
        String ephemeral = client.make(lab.path("ephemeral"), "", CreateMode.EPHEMERAL);
        long id = client.getSessionId();
        lab.harness.ask("leave " + client.server());
        client.readOnly();
        // It tries while the others read.
        Client writer = Client.begin(lab, lab.servers, false);
        Lab.same("old", client.read(data), "without a leader");
        Lab.same(id, client.getSessionId(), "session without a leader");
        onlyReads(client, data);
        // One that begins now has a session of this server alone.
        Client late = Client.begin(lab, lab.servers, true);
        late.readOnly();
        Lab.same("old", late.read(data), "to who came later");
        Client.again(() -> late.exists(data, true));
        onlyReads(late, data);
        // That it was disconnected it may have been told, by each server that it tried.
        Lab.check(!writer.states().contains(KeeperState.SyncConnected) && !writer.states().contains(KeeperState.ConnectedReadOnly), "who did not say that it may be read-only is not served");
        lab.harness.ask("bring back");
        for (Client each : List.of(client, late, writer)) {
            each.connected();
            String written = "by " + each.getSessionId();
            Client.again(() -> each.setData(data, Lab.bytes(written), -1));
            Lab.same(written, each.read(data), "what was written");
        }
        Lab.same(id, client.getSessionId(), "session when there is a leader again");
        Lab.same(id, Client.again(() -> late.exists(ephemeral, false)).getEphemeralOwner(), "owner");
        Lab.check(!client.states().contains(KeeperState.Expired), "never expired");
        Lab.check(late.states().contains(KeeperState.ConnectedReadOnly), "it was told");
    }

    private static void onlyReads(Client client, String path) throws Exception {
        try {
            Client.again(() -> client.setData(path, Lab.bytes("new"), -1));
            Lab.check(false, "it was written without a leader");
        } catch (KeeperException.NotReadOnlyException refused) {
            Lab.same("old", client.read(path), "after a refusal");
        }
    }

    /** Many requests on the way at once are carried out, and answered, in the order that they were sent. */
    private static void pipeline(Lab lab) throws Exception {
        Client client = Client.connect(lab, lab.servers);
        client.make(lab.root, "");
        String path = client.make(lab.path("counted"), "");
        lab.work("pipeline", l -> {
            int count = 300;
            int first = Client.again(() -> client.exists(path, false)).getVersion();
            AtomicInteger answers = new AtomicInteger();
            AtomicInteger done = new AtomicInteger();
            for (int i = 0; i < count; i++) {
                int place = i;
                client.setData(path, Lab.bytes("" + i), first + i, (code, which, context, stat) -> {
                    lab.never(answers.getAndIncrement() != place, "answers out of order");
                    if (code == Code.OK.intValue()) {
                        lab.never(done.getAndIncrement() != place, "a write went through behind one that did not");
                        lab.never(stat.getVersion() != first + place + 1, "version " + stat.getVersion() + " of write " + place);
                    } else {
                        lab.never(code != Code.CONNECTIONLOSS.intValue(), "write " + place + " got " + Code.get(code));
                    }
                }, null);
            }
            Lab.await("all are answered", () -> answers.get() == count);
            int now = Client.again(() -> client.exists(path, false)).getVersion();
            lab.never(now < first + done.get() || now > first + count, "version " + now + " after " + done + " writes from " + first);
        });
        lab.underFire();
    }
}
