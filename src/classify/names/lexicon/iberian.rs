//! Spanish and Portuguese words.
use super::Entry;
use crate::classify::names::concept::Concept::*;

/// Words and their meaning.
pub(super) const WORDS: &[Entry] = &[
    (
        &[Person],
        "cliente persona empleado trabajador titular beneficiario socio contacto destinatario \
        remitente solicitante deudor asegurado alumno conyuge madre padre hijo medico inquilino \
        conductor pessoa funcionario empregado segurado contato aluno mae pai filho conjuge devedor \
        motorista colaborador",
    ),
    (&[Name], "nombre nome"),
    (&[First, Name], "nombrepila primernombre prenome primeironome nombres"),
    (
        &[Last, Name],
        "apellido apellidos primerapellido segundoapellido sobrenome apelido ultimonome ape \
        apell",
    ),
    (&[First], "primer primero primeiro pila"),
    (&[Last], "segundo ultimo"),
    (&[Full, Name], "nombrecompleto nomecompleto"),
    (&[Full], "completo"),
    (&[Birth], "nacimiento nac nacim nacido nascimento nasc nascim"),
    (
        &[Birth, Date],
        "fechanacimiento fecnac fechanac fnacimiento fecnacimiento datanascimento dtnasc \
        datanasc dtnascimento",
    ),
    (&[Age], "edad idade"),
    (&[Gender], "sexo genero"),
    (&[Facet], "estadocivil situacioncivil sector ramo"),
    (&[User], "usuario utilizador"),
    (&[User, Name], "nombreusuario nomeusuario nomedeusuario nombredeusuario"),
    (&[Phone], "telefono tfno telef numtelefono telefone numerotelefono telf"),
    (&[Mobile, Phone], "movil celular telemovel telefonomovil tlm"),
    (&[Email], "correo correoelectronico correio"),
    (&[Address], "direccion domicilio endereco morada direc ender"),
    (&[Street], "calle rua logradouro vivienda carrera"),
    (&[House], "piso puerta bloque bairro complemento"),
    (&[City], "ciudad localidad municipio poblacion cidade localidade"),
    (&[Region], "provincia comunidad estado uf distrito"),
    (&[Country], "pais nacionalidad nacionalidade"),
    (&[Postal, Code], "codigopostal codpost codpos cep codigopost"),
    (&[Home], "envio facturacion entrega"),
    (&[Latitude], "latitud"),
    (&[Longitude], "longitud"),
    (&[National], "nacional"),
    (&[Security], "seguridad seguridade seguranca seguro"),
    (
        &[NationalId],
        "rfc documentoidentidad cedulaidentidad numerodni dninie nifnie doccpf numcpf \
        cpfcliente contribuinte numerocontribuinte nifcontribuinte niss cartaocidadao rg cns pis \
        numnif numdni dnicif ni",
    ),
    (&[Tax], "imposto impuesto tributario"),
    (&[Identity], "identidad identidade identificacion identificacao"),
    (&[Passport], "pasaporte passaporte numpasaporte numpassaporte"),
    (
        &[Driver, Licence],
        "cnh carnetconducir permisoconducir licenciaconducir cartaconducao habilitacao \
        carteiramotorista",
    ),
    (&[Driver], "conducir conduccion conducao"),
    (&[Licence], "licencia permiso carnet licenca carteira"),
    (
        &[Account],
        "cuenta cta numcuenta numerocuenta nrocuenta conta numeroconta contacorrente numconta \
        ncuenta",
    ),
    (&[Bank], "banco bancaria bancario"),
    (&[Card], "tarjeta numtarjeta numerotarjeta cartao numerocartao numcartao tarj"),
    (
        &[Amount],
        "importe salario sueldo ingreso ingresos pago nomina cuota prestamo deuda renda \
        montante vencimento pagamento divida emprestimo faturamento monto",
    ),
    (&[Price], "precio preco"),
    (&[Currency], "moneda moeda divisa"),
    (&[Expiry], "caducidad vencimiento validade caduca"),
    (&[Medical], "clinica clinico medica"),
    (&[Record], "historia expediente prontuario historial"),
    (&[Medical, Record], "historiaclinica numhistoria nhc"),
    (&[Patient], "paciente"),
    (&[Diagnosis], "diagnostico"),
    (&[Password], "contrasena contrasenia clave senha palavrapasse"),
    (&[Secret], "secreto segredo"),
    (&[Key], "llave chave"),
    (&[Vin], "bastidor numbastidor chassi numerobastidor numchassi"),
    (&[Vehicle], "vehiculo coche veiculo carro"),
    (
        &[Text],
        "comentario comentarios observaciones observacion notas descripcion mensaje obs \
        observacoes observacao descricao mensagem texto nota",
    ),
    (&[Number], "nro nume numro"),
    (&[Code], "codigo cod"),
    (&[Date], "fecha fec fch data"),
    (&[Year], "ano anio"),
    (&[Month], "mes"),
    (&[Day], "dia"),
    (&[Time], "hora"),
    (&[Place], "lugar local"),
    (&[Facet], "tipo cantidad estatus situacion situacao nivel tamano tasa tratamiento conteo"),
    (&[Happening], "enviado creado modificado alta baja criado alterado verificado creacion"),
    (&[Question], "activo ativo tiene tem"),
    (
        &[Thing],
        "producto articulo fichero archivo empresa proveedor marca tienda produto arquivo \
        fornecedor loja departamento servidor maquina equipo escuela",
    ),
    (
        &[Deal],
        "pedido factura numpedido numfactura contrato fatura numerofatura billete poliza albaran \
        lote",
    ),
    (&[Measure], "peso anchura duracion quantidade altura duracao cant valor existencias estoque"),
    (&[Link], "del el los las do da dos das e y o con para por na ao"),
];
