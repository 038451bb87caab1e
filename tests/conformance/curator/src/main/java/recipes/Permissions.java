package recipes;

import java.util.List;
import java.util.Map;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.retry.RetryForever;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.ZooDefs;
import org.apache.zookeeper.data.ACL;
import org.apache.zookeeper.data.Id;
import org.apache.zookeeper.server.auth.DigestAuthenticationProvider;

/** Who may, may with every server and after each fault; who may not, never. */
final class Permissions {
    private Permissions() {
    }

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("digest", Permissions::digest);
    }

    @FunctionalInterface
    private interface Request {
        void send() throws Exception;
    }

    private static void refused(Lab lab, String what, Request request) throws Exception {
        try {
            request.send();
            lab.violated(what + " without permission");
        } catch (KeeperException.NoAuthException asItShould) {
            // Nothing was done.
        }
    }

    private static void digest(Lab lab) throws Exception {
        CuratorFramework owner = lab.client(new RetryForever(50), "owner:secret");
        CuratorFramework guest = lab.client();
        CuratorFramework forger = lab.client(new RetryForever(50), "owner:guess");
        CuratorFramework reader = lab.client(new RetryForever(50), "reader:secret");
        lab.node(owner, "open", "");
        String closed = owner.create().withACL(ZooDefs.Ids.CREATOR_ALL_ACL).forPath(lab.path("closed"), Lab.bytes("0"));
        Lab.same(List.of(new ACL(ZooDefs.Perms.ALL, new Id("digest", DigestAuthenticationProvider.generateDigest("owner:secret")))),
                owner.getACL().forPath(closed), "permissions of the creator");
        String shared = owner.create().forPath(lab.path("shared"), Lab.bytes("0"));
        owner.setACL().withACL(List.of(
                new ACL(ZooDefs.Perms.ALL, new Id("auth", "")),
                new ACL(ZooDefs.Perms.READ, new Id("digest", DigestAuthenticationProvider.generateDigest("reader:secret"))))).forPath(shared);
        for (CuratorFramework stranger : List.of(guest, forger)) {
            Lab.sync(stranger);
            lab.work("stranger", l -> {
                refused(lab, "read", () -> stranger.getData().forPath(closed));
                refused(lab, "written", () -> stranger.setData().forPath(closed, Lab.bytes("stolen")));
                refused(lab, "created", () -> stranger.create().forPath(closed + "/child"));
                refused(lab, "listed", () -> stranger.getChildren().forPath(closed));
                refused(lab, "given away", () -> stranger.setACL().withACL(ZooDefs.Ids.OPEN_ACL_UNSAFE).forPath(closed));
                refused(lab, "read", () -> stranger.getData().forPath(shared));
            });
        }
        Lab.sync(reader);
        lab.work("reader", l -> {
            reader.getData().forPath(shared);
            refused(lab, "written", () -> reader.setData().forPath(shared, Lab.bytes("stolen")));
            refused(lab, "read", () -> reader.getData().forPath(closed));
        });
        lab.work("owner", l -> {
            owner.setData().forPath(closed, Lab.bytes("mine"));
            Lab.same("mine", Lab.text(owner.getData().forPath(closed)), "what the owner wrote");
            owner.setData().forPath(shared, Lab.bytes("ours"));
        });
        lab.underFire();
    }
}
