%% A child that OTP's supervisor restarts each time it fails: escript restart.erl BENCH N, with the command
%% line of the example process_bench. `restart` exits with a reason, `restartpanic` raises an error.
%%
%% supervisor.erl keeps the times of all restarts within the period in a list and scans it at each restart, so
%% the cost of a restart grows with N. A new supervisor every SHARE restarts keeps the list short.
-module(restart).
-mode(compile).
-behaviour(supervisor).
-export([main/1, init/1, start_child/2, child/2]).

-define(SHARE, 500).

main([Bench, N]) ->
    logger:set_primary_config(level, none),
    process_flag(trap_exit, true),
    How = list_to_atom(Bench),
    Count = list_to_integer(N),
    Start = erlang:monotonic_time(nanosecond),
    shares(How, Count),
    Time = erlang:monotonic_time(nanosecond) - Start,
    io:format("{\"ns\": ~.1f}~n", [Time / Count]).

shares(_, 0) -> ok;
shares(How, Left) ->
    Share = min(?SHARE, Left),
    %% The restart beyond the intensity ends the supervisor.
    {ok, Sup} = supervisor:start_link(?MODULE, {How, Share}),
    receive {'EXIT', Sup, shutdown} -> ok end,
    shares(How, Left - Share).

init({How, Share}) ->
    {ok, {#{strategy => one_for_one, intensity => Share, period => 3600},
          [#{id => child, start => {?MODULE, start_child, [How, self()]}}]}}.

%% A plain process without proc_lib, as in the other programs.
start_child(How, Sup) -> {ok, spawn_link(?MODULE, child, [How, Sup])}.

child(restart, _) -> exit(failed);
child(restartpanic, _) -> error(failed).
