%% Cowboy as a peer: escript cowboy_peer.erl PORT, with cowboy, cowlib and ranch where ERL_LIBS says.
%%
%% Cowboy's defaults, except that requests per connection and connections are not limited.
-module(cowboy_peer).
-mode(compile).
-export([main/1, init/2]).

main([Port]) ->
    logger:set_primary_config(level, error),
    {ok, _} = application:ensure_all_started(cowboy),
    Big = binary:copy(<<"x">>, 65536),
    Routes = [{"/plaintext", ?MODULE, <<"Hello, World!">>}, {"/big", ?MODULE, Big}, {"/echo", ?MODULE, echo}],
    {ok, _} = cowboy:start_clear(peer,
        #{socket_opts => [{ip, {127, 0, 0, 1}}, {port, list_to_integer(Port)}, {nodelay, true}],
          max_connections => infinity},
        #{env => #{dispatch => cowboy_router:compile([{'_', Routes}])}, max_keepalive => 1000000000}),
    receive stop -> ok end.

init(Req, echo) ->
    {Body, Read} = body(Req, []),
    {ok, answer(Body, Read), echo};
init(Req, Body) ->
    {ok, answer(Body, Req), Body}.

answer(Body, Req) ->
    cowboy_req:reply(200, #{<<"content-type">> => <<"text/plain">>}, Body, Req).

body(Req, Before) ->
    case cowboy_req:read_body(Req) of
        {ok, Last, Read} -> {lists:reverse(Before, [Last]), Read};
        {more, Part, Read} -> body(Read, [Part | Before])
    end.
