"""Users, roles and permissions: the messages, enums and calls.

Source: etcd's `api/authpb/auth.proto` and `api/etcdserverpb/rpc.proto` (3.5). The form of the
tables is that of `schema`.
"""

from __future__ import annotations

from typing import Final

from quorate.codecs.etcd.schema import ProtoFile

ACCOUNTS: Final = ProtoFile(
    path="etcd/api/authpb/auth.proto",
    package="authpb",
    enums={"Permission.Type": "READ WRITE READWRITE"},
    messages={
        "UserAddOptions": "no_password=1 bool",
        "User": "name=1 bytes, password=2 bytes, roles=3 string *, options=4 UserAddOptions",
        "Permission": "permType=1 Permission.Type, key=2 bytes, range_end=3 bytes",
        "Role": "name=1 bytes, keyPermission=2 Permission *",
    },
)
MESSAGES: Final = {
    "AuthEnableRequest": "",
    "AuthDisableRequest": "",
    "AuthStatusRequest": "",
    "AuthenticateRequest": "name=1 string, password=2 string",
    "AuthUserAddRequest": (
        "name=1 string, password=2 string, options=3 UserAddOptions, hashedPassword=4 string"
    ),
    "AuthUserGetRequest": "name=1 string",
    "AuthUserDeleteRequest": "name=1 string",
    "AuthUserChangePasswordRequest": "name=1 string, password=2 string, hashedPassword=3 string",
    "AuthUserGrantRoleRequest": "user=1 string, role=2 string",
    "AuthUserRevokeRoleRequest": "name=1 string, role=2 string",
    "AuthRoleAddRequest": "name=1 string",
    "AuthRoleGetRequest": "role=1 string",
    "AuthUserListRequest": "",
    "AuthRoleListRequest": "",
    "AuthRoleDeleteRequest": "role=1 string",
    "AuthRoleGrantPermissionRequest": "name=1 string, perm=2 Permission",
    "AuthRoleRevokePermissionRequest": "role=1 string, key=2 bytes, range_end=3 bytes",
    "AuthEnableResponse": "header=1 ResponseHeader",
    "AuthDisableResponse": "header=1 ResponseHeader",
    "AuthStatusResponse": "header=1 ResponseHeader, enabled=2 bool, authRevision=3 uint64",
    "AuthenticateResponse": "header=1 ResponseHeader, token=2 string",
    "AuthUserAddResponse": "header=1 ResponseHeader",
    "AuthUserGetResponse": "header=1 ResponseHeader, roles=2 string *",
    "AuthUserDeleteResponse": "header=1 ResponseHeader",
    "AuthUserChangePasswordResponse": "header=1 ResponseHeader",
    "AuthUserGrantRoleResponse": "header=1 ResponseHeader",
    "AuthUserRevokeRoleResponse": "header=1 ResponseHeader",
    "AuthRoleAddResponse": "header=1 ResponseHeader",
    "AuthRoleGetResponse": "header=1 ResponseHeader, perm=2 Permission *",
    "AuthRoleListResponse": "header=1 ResponseHeader, roles=2 string *",
    "AuthUserListResponse": "header=1 ResponseHeader, users=2 string *",
    "AuthRoleDeleteResponse": "header=1 ResponseHeader",
    "AuthRoleGrantPermissionResponse": "header=1 ResponseHeader",
    "AuthRoleRevokePermissionResponse": "header=1 ResponseHeader",
}
SERVICES: Final = {
    "Auth": {
        "AuthEnable": "AuthEnableRequest AuthEnableResponse /v3/auth/enable",
        "AuthDisable": "AuthDisableRequest AuthDisableResponse /v3/auth/disable",
        "AuthStatus": "AuthStatusRequest AuthStatusResponse /v3/auth/status",
        "Authenticate": "AuthenticateRequest AuthenticateResponse /v3/auth/authenticate",
        "UserAdd": "AuthUserAddRequest AuthUserAddResponse /v3/auth/user/add",
        "UserGet": "AuthUserGetRequest AuthUserGetResponse /v3/auth/user/get",
        "UserList": "AuthUserListRequest AuthUserListResponse /v3/auth/user/list",
        "UserDelete": "AuthUserDeleteRequest AuthUserDeleteResponse /v3/auth/user/delete",
        "UserChangePassword": (
            "AuthUserChangePasswordRequest AuthUserChangePasswordResponse /v3/auth/user/changepw"
        ),
        "UserGrantRole": "AuthUserGrantRoleRequest AuthUserGrantRoleResponse /v3/auth/user/grant",
        "UserRevokeRole": (
            "AuthUserRevokeRoleRequest AuthUserRevokeRoleResponse /v3/auth/user/revoke"
        ),
        "RoleAdd": "AuthRoleAddRequest AuthRoleAddResponse /v3/auth/role/add",
        "RoleGet": "AuthRoleGetRequest AuthRoleGetResponse /v3/auth/role/get",
        "RoleList": "AuthRoleListRequest AuthRoleListResponse /v3/auth/role/list",
        "RoleDelete": "AuthRoleDeleteRequest AuthRoleDeleteResponse /v3/auth/role/delete",
        "RoleGrantPermission": (
            "AuthRoleGrantPermissionRequest AuthRoleGrantPermissionResponse /v3/auth/role/grant"
        ),
        "RoleRevokePermission": (
            "AuthRoleRevokePermissionRequest AuthRoleRevokePermissionResponse /v3/auth/role/revoke"
        ),
    },
}
